package survey

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/policy"
	"github.com/davitops/davit/internal/report"
	"github.com/davitops/davit/internal/target"
	"github.com/davitops/davit/internal/tree"
)

// found is what the two revisions deploy, by the configuration of base.
type found struct {
	base, head target.Found
	markers    map[target.MarkerKey]target.Marker
	errors     []report.Error
	notes      []string
}

func discover(q Question) (found, error) {
	var f found
	markers := map[target.MarkerKey]target.Marker{}
	for _, t := range []Tree{q.Base, q.Head} {
		if err := readMarkers(t, markers); err != nil {
			return f, err
		}
	}
	before, err := readConfig(q.Base)
	if err != nil {
		return f, err
	}
	after, err := readConfig(q.Head)
	if err != nil {
		return f, err
	}
	f.markers = markers
	f.base = target.Discover(q.Base.Entries(), markers, before.config)
	f.head = target.Discover(q.Head.Entries(), markers, before.config)
	keepSpoiled(f.base, &f.head)
	f.notes = slices.Clone(f.head.Notes)
	f.errors = configErrors(before, after)
	if !bytes.Equal(before.data, after.data) && len(after.problems) == 0 {
		then := target.Discover(q.Head.Entries(), markers, after.config)
		keepSpoiled(f.base, &then)
		f.notes = append(f.notes, configNote(f.head.Targets, then.Targets))
	}
	return f, nil
}

// keepSpoiled keeps a directory a target of head that was one of base and is none
// any more only because of a document that does not belong there: that is a
// mistake to be told, not a wish to delete all that the directory deployed.
func keepSpoiled(base target.Found, head *target.Found) {
	for _, t := range base.Targets {
		if slices.Contains(head.Spoiled, t.Path) {
			head.Targets = append(head.Targets, t)
		}
	}
}

// readMarkers decodes the marker files of a tree that are not decoded yet.
func readMarkers(t Tree, markers map[target.MarkerKey]target.Marker) error {
	for _, e := range target.Markers(t.Entries()) {
		key := target.KeyOf(e)
		if _, known := markers[key]; known {
			continue
		}
		fact, err := t.Look(e.Path, true)
		if err != nil {
			return fmt.Errorf("read %s: %w", e.Path, err)
		}
		if markers[key] = target.UnreadMarker(e.Path); fact.Kind != tree.TooLarge {
			markers[key] = target.DecodeMarker(e.Path, fact.Data)
		}
	}
	return nil
}

// configFile is a .davit.yaml as one side has it.
type configFile struct {
	data     []byte
	config   target.Config
	problems []manifest.Problem
}

func readConfig(t Tree) (configFile, error) {
	fact, err := t.Look(target.ConfigFile, true)
	if err != nil {
		return configFile{}, fmt.Errorf("read %s: %w", target.ConfigFile, err)
	}
	if fact.Kind != tree.File {
		return configFile{}, nil
	}
	c := configFile{data: fact.Data}
	c.config, c.problems = target.ParseConfig(target.ConfigFile, fact.Data)
	if len(c.problems) > 0 {
		c.config = target.Config{} // a file that is half understood decides nothing
	}
	return c, nil
}

// configErrors are the faults of the configuration at head; those it had before
// are not the change's.
func configErrors(before, after configFile) []report.Error {
	var errors []report.Error
	state := policy.New
	if len(before.problems) > 0 {
		state = policy.Existing
	}
	for _, p := range after.problems {
		errors = append(errors, report.Error{Problem: p, State: state})
	}
	return errors
}

// configNote says what a changed configuration will do once it is merged.
func configNote(now, then []gitops.Target) string {
	note := fmt.Sprintf("This changes %s, which takes effect after the merge.", target.ConfigFile)
	gone, come := difference(now, then), difference(then, now)
	if len(gone)+len(come) == 0 {
		return note + " The targets stay the same."
	}
	return note + fmt.Sprintf(" Of the targets, %d will be new and %d gone.", len(come), len(gone))
}

func difference(a, b []gitops.Target) []gitops.Target {
	return slices.DeleteFunc(slices.Clone(a), func(t gitops.Target) bool {
		return slices.ContainsFunc(b, func(u gitops.Target) bool { return u.Name() == t.Name() })
	})
}
