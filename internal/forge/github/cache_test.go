package github

import (
	"fmt"
	"net/http"
	"testing"
)

// TestCacheBound holds that the cache forgets what was not used for longest, and never
// holds more than it may.
func TestCacheBound(t *testing.T) {
	t.Parallel()
	c := &cache{}
	big := make([]byte, maxCached/8)
	put := func(key string, body []byte) { c.put(&cached{key: key, etag: "x", header: http.Header{}, body: body}) }
	for i := range 8 {
		put(fmt.Sprint(i), big)
	}
	if c.get("0") == nil {
		t.Error("what fits is forgotten")
	}
	put("8", big)
	for key, kept := range map[string]bool{"0": true, "1": false, "2": true, "8": true} {
		if (c.get(key) != nil) != kept {
			t.Errorf("%s is kept: %v", key, !kept)
		}
	}
	put("2", append(big, 'x')) // too large, and what was there is not true any more
	put("0", nil)
	if c.get("2") != nil || c.size != 6*len(big) || len(c.entries) != c.recent.Len() {
		t.Errorf("%d bytes in %d entries and %d", c.size, len(c.entries), c.recent.Len())
	}
}
