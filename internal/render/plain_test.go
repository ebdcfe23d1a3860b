package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/davitops/davit/internal/manifest"
)

// TestPlain renders directories of plain YAML and compares with
// testdata/plain.want; UPDATE=1 writes it anew. The target is app.
func TestPlain(t *testing.T) {
	t.Parallel()
	trees := cases(t, "testdata/plain.txtar")
	trees["line-ends"] = memory{"app/a.yaml": strings.ReplaceAll(configMap+"---\n"+strings.ReplaceAll(configMap, "a}", "b}"), "\n", "\r\n")}
	trees["bytes"] = memory{"app/a.yaml": configMap + "data: {a: \"\xff\"}\n"}
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		fmt.Fprintln(&got, name)
		objects, err := plain(trees[name], "app")
		var problem *manifest.Problem
		if err != nil && !errors.As(err, &problem) {
			t.Errorf("%s: no problem: %v", name, err)
		}
		if problem != nil {
			got.WriteString(show(problem))
		}
		for _, o := range objects {
			fmt.Fprintf(&got, "  %s:%d %s\n", o.Origin.File, o.Origin.Line, o.JSON)
		}
	}
	compareGolden(t, "testdata/plain.want", got.String())
}
