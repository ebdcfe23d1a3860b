package tree

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// revision is facts by path, and names by directory.
type revision struct {
	facts map[string]Fact
	names map[string][]Name
}

var errUnreadable = errors.New("unreadable")

func (r revision) Look(path string, content bool) (Fact, error) {
	if content {
		return Fact{}, fmt.Errorf("%s was read: a record needs no content", path)
	}
	fact := r.facts[path]
	if fact.ID == "unreadable" {
		return fact, errUnreadable
	}
	return fact, nil
}

func (r revision) List(path string) ([]Name, error) {
	if r.facts[path].ID == "unreadable" {
		return nil, errUnreadable
	}
	return r.names[path], nil
}

// base is the revision that the tests change.
func base() revision {
	return revision{
		facts: map[string]Fact{
			"file":      {Kind: File, Real: "file", ID: "1"},
			"dir":       {Kind: Dir, Real: "dir"},
			"link":      {Kind: File, Real: "file", ID: "1"},
			"dir-link":  {Kind: Dir, Real: "dir"},
			"outside":   {Kind: Outside},
			"large":     {Kind: TooLarge, ID: "2", Real: "large"},
			"dir/inner": {Kind: File, Real: "dir/inner", ID: "3"},
		},
		names: map[string][]Name{"dir": {{"inner", File}, {"sub", Dir}}, "dir-link": {{"inner", File}, {"sub", Dir}}},
	}
}

// uses are all the questions there are about base.
func uses() []Use {
	all := []Use{{Path: "absent"}, {Path: "absent", Listed: true}, {Path: "dir", Listed: true}, {Path: "dir-link", Listed: true}, {Path: "file", Listed: true}}
	for path := range base().facts {
		all = append(all, Use{Path: path})
	}
	return all
}

func TestChanged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(revision)
		want   []string
	}{
		{name: "nothing", change: func(revision) {}},
		{name: "what nobody asked about", change: func(r revision) { r.facts["new"] = Fact{Kind: File, ID: "9", Real: "new"} }},
		{name: "content", change: func(r revision) { r.facts["file"] = Fact{Kind: File, Real: "file", ID: "9"} }, want: []string{"file"}},
		{name: "absent to present", change: func(r revision) { r.facts["absent"] = Fact{Kind: File, Real: "absent", ID: "9"} }, want: []string{"absent"}},
		{name: "present to absent", change: func(r revision) { delete(r.facts, "dir/inner") }, want: []string{"dir/inner"}},
		{
			name: "file to directory", change: func(r revision) {
				r.facts["file"] = Fact{Kind: Dir, Real: "file"}
				r.names["file"] = []Name{{"x", File}}
			},
			want: []string{"file"},
		},
		{name: "directory to file", change: func(r revision) { r.facts["dir"] = Fact{Kind: File, Real: "dir", ID: "9"}; delete(r.names, "dir") }, want: []string{"dir"}},
		{name: "a link to other content", change: func(r revision) { r.facts["link"] = Fact{Kind: File, Real: "dir/inner", ID: "3"} }, want: []string{"link"}},
		// Relative paths go on from where a link leads.
		{name: "a link to the same content elsewhere", change: func(r revision) { r.facts["link"] = Fact{Kind: File, Real: "copy", ID: "1"} }, want: []string{"link"}},
		{name: "a link to another directory", change: func(r revision) { r.facts["dir-link"] = Fact{Kind: Dir, Real: "other"} }, want: []string{"dir-link"}},
		{name: "a link that is replaced by what it led to", change: func(r revision) { r.facts["link"] = Fact{Kind: File, Real: "link", ID: "1"} }, want: []string{"link"}},
		{name: "a link out of the repository to one inside", change: func(r revision) { r.facts["outside"] = Fact{Kind: File, Real: "file", ID: "1"} }, want: []string{"outside"}},
		{name: "outside to absent", change: func(r revision) { r.facts["outside"] = Fact{} }, want: []string{"outside"}},
		{name: "too large to small", change: func(r revision) { r.facts["large"] = Fact{Kind: File, ID: "2", Real: "large"} }, want: []string{"large"}},
		{name: "a name more", change: func(r revision) { r.names["dir"] = append(r.names["dir"], Name{"z", File}) }, want: []string{"dir"}},
		{name: "a name less", change: func(r revision) { r.names["dir"] = r.names["dir"][:1] }, want: []string{"dir"}},
		{name: "a name of another kind", change: func(r revision) { r.names["dir"] = []Name{{"inner", Dir}, {"sub", Dir}} }, want: []string{"dir"}},
		{
			name: "several", change: func(r revision) { clear(r.facts); clear(r.names) },
			want: []string{"dir", "dir-link", "dir/inner", "file", "large", "link", "outside"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			record, err := Observe(base(), uses())
			if err != nil {
				t.Fatal(err)
			}
			after := base()
			test.change(after)
			got, err := record.Changed(after)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Errorf("changed (-want +got):\n%s", d)
			}
			again, err := Observe(after, uses())
			if err != nil || maps.Equal(record, again) != (test.want == nil) {
				t.Errorf("the record of the changed revision is equal: %t, %v", maps.Equal(record, again), err)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	record, err := Observe(base(), []Use{{Path: "b"}, {Path: "dir", Listed: true}, {Path: "dir"}, {Path: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b", "dir"}, record.Paths()); d != "" {
		t.Errorf("paths (-want +got):\n%s", d)
	}
	if got := (Record{}).Paths(); len(got) != 0 {
		t.Errorf("an empty record has the paths %q", got)
	}
}

func TestErrorsNameThePath(t *testing.T) {
	t.Parallel()
	broken := base()
	broken.facts["file"] = Fact{ID: "unreadable"}
	for _, listed := range []bool{false, true} {
		use := []Use{{Path: "file", Listed: listed}}
		if record, err := Observe(broken, use); !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), `"file"`) || record != nil {
			t.Errorf("observe, listed %t: %v, %v", listed, record, err)
		}
		record, err := Observe(base(), use)
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := record.Changed(broken); !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), `"file"`) || changed != nil {
			t.Errorf("changed, listed %t: %v, %v", listed, changed, err)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	var names []string
	for kind := Absent; kind <= TooLarge+1; kind++ {
		names = append(names, kind.String())
	}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) || slices.Contains(names, "") {
		t.Errorf("kinds are called %q, want a name each", names)
	}
}
