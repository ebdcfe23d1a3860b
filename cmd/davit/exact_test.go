package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/report"
)

// TestExact compares what a preview says of the sample repositories with what
// kubectl renders of both sides.
func TestExact(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "testdata", "samples", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			dir := sample(t, file)
			oracle := newOracle(t, dir)
			if _, targets := oracle.check(t, "main", "change"); targets == 0 {
				t.Error("the sample changes nothing")
			}
		})
	}
}

// oracle says what a change does by asking kubectl, and nothing of ours.
type oracle struct {
	kubectl    string
	repository string
	trees      string // where revisions are checked out
}

func newOracle(t testing.TB, repository string) oracle {
	return oracle{kubectl: playground(t), repository: repository, trees: t.TempDir()}
}

// checkout puts a revision's files into a directory of their own.
func (o oracle) checkout(t testing.TB, revision string) string {
	t.Helper()
	dir := filepath.Join(o.trees, git(t, o.repository, "rev-parse", revision))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	git(t, o.repository, "worktree", "add", "--quiet", "--detach", dir, revision)
	return dir
}

// check compares a preview of base → head, which must be a descendant of base,
// with kubectl's renderings, and returns how many objects differed in how many
// targets that were told.
func (o oracle) check(t testing.TB, base, head string) (objects, targets int) {
	t.Helper()
	preview, result := previewOf(t, "-C", o.repository, "--base", base, "--head", head)
	before, after := o.checkout(t, base), o.checkout(t, head)
	told := map[string]bool{}
	for _, target := range preview.Targets {
		told[target.Path] = true
		objects += o.checkTarget(t, target, before, after)
	}
	// A target that the preview does not name must be the same on both sides; those
	// whose own directory did not change are most, so a sample of all is asked.
	for _, path := range o.untold(t, before, after, told) {
		if b, a := o.render(before, path), o.render(after, path); !maps.EqualFunc(b.objects, a.objects, bytes.Equal) || (b.err == nil) != (a.err == nil) {
			t.Errorf("%s differs for kubectl, and the preview does not name it", path)
		}
	}
	if result.code != preview.ExitCode() && result.code != report.ExitBlocked {
		t.Errorf("exit code %d, but the preview means %d", result.code, preview.ExitCode())
	}
	return objects, len(told)
}

// untold are the directories with a kustomization that other directories do not
// use and that the preview did not name.
func (o oracle) untold(t testing.TB, before, after string, told map[string]bool) []string {
	t.Helper()
	changed := strings.Fields(git(t, o.repository, "diff", "--name-only", filepath.Base(before), filepath.Base(after)))
	var paths []string
	for _, tree := range []string{before, after} {
		for _, file := range changed {
			for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
				if _, err := os.Stat(filepath.Join(tree, dir, "kustomization.yaml")); err == nil && !told[dir] && !o.used(tree, dir) {
					paths = append(paths, dir)
				}
				if dir == "." {
					break
				}
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// used reports whether a directory is no root: a component, or named by another
// kustomization.
func (o oracle) used(tree, dir string) bool {
	own, _ := os.ReadFile(filepath.Join(tree, dir, "kustomization.yaml"))
	if bytes.Contains(own, []byte("kind: Component")) || bytes.Contains(own, []byte("toolkit.fluxcd.io")) {
		return true
	}
	grep := exec.Command("git", "-C", tree, "grep", "-lwF", filepath.Base(dir), "--", "*kustomization.y*ml", "*Kustomization")
	out, _ := grep.Output()
	for file := range strings.FieldsSeq(string(out)) {
		if filepath.Dir(file) != dir {
			return true
		}
	}
	return false
}

// rendered is what kubectl makes of a directory: objects by identity, as
// canonical JSON.
type rendered struct {
	objects map[string][]byte
	err     error
}

func (o oracle) render(tree, path string) rendered {
	dir := filepath.Join(tree, path)
	if _, err := os.Stat(dir); err != nil {
		return rendered{}
	}
	if o.isPlain(dir) {
		return readObjects(plainDocuments(dir))
	}
	if !o.hasKustomization(dir) {
		return rendered{}
	}
	cmd := exec.Command(o.kubectl, "kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", dir)
	cmd.Env = []string{"HOME=/nonexistent", "PATH=/nonexistent", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return rendered{err: fmt.Errorf("%w: %s", err, stderr.String())}
	}
	return readObjects(out, nil)
}

func (o oracle) hasKustomization(dir string) bool {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

func (o oracle) isPlain(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	return len(files) > 0 && !o.hasKustomization(dir)
}

func plainDocuments(dir string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	var all []byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(append(all, "\n---\n"...), data...)
	}
	return all, err
}

func readObjects(documents []byte, err error) rendered {
	r := rendered{objects: map[string][]byte{}, err: err}
	for _, document := range strings.Split("\n"+string(documents), "\n---") {
		var value map[string]any
		if err := yaml.Unmarshal([]byte(document), &value); err != nil {
			r.err = err
			return r
		}
		if items, isList := value["items"].([]any); isList {
			for _, item := range items {
				r.add(item.(map[string]any))
			}
			continue
		}
		if len(value) > 0 {
			r.add(value)
		}
	}
	return r
}

func (r *rendered) add(object map[string]any) {
	group, _, grouped := strings.Cut(fmt.Sprint(object["apiVersion"]), "/")
	if !grouped {
		group = ""
	}
	metadata, _ := object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	data, _ := json.Marshal(object)
	id := fmt.Sprintf("%s/%v %s/%v", group, object["kind"], namespace, metadata["name"])
	if _, twice := r.objects[id]; twice {
		r.err = fmt.Errorf("%s is there twice", id)
	}
	r.objects[id] = data
}

// checkTarget compares one target and returns how many of its objects differ.
func (o oracle) checkTarget(t testing.TB, target report.Target, before, after string) int {
	t.Helper()
	old, new := o.render(before, target.Path), o.render(after, target.Path)
	switch target.Status {
	case report.Added: // the directory may have been part of another target before
		old = rendered{}
	case report.Removed: // or it is part of another one now
		new = rendered{}
	}
	if (target.Error != nil) != (new.err != nil) {
		t.Errorf("%s: the preview says %v, kubectl says %v", target.Path, target.Error, new.err)
		return 0
	}
	if target.Error != nil {
		if wantExisting := old.err != nil; wantExisting != (target.Error.State == "existing") {
			t.Errorf("%s: the error is %s, but kubectl's error on base is %v", target.Path, target.Error.State, old.err)
		}
		return 0
	}
	if old.err != nil {
		old.objects = nil
	}
	want, got := map[string]string{}, map[string]string{}
	for id, object := range new.objects {
		if was, existed := old.objects[id]; !existed {
			want[id] = "create"
		} else if !bytes.Equal(was, object) {
			want[id] = "update"
		}
	}
	for id := range old.objects {
		if _, exists := new.objects[id]; !exists {
			want[id] = "delete"
		}
	}
	for _, c := range target.Changes {
		id := fmt.Sprintf("%s/%s %s/%s", c.Group, c.Kind, c.Namespace, c.Name)
		got[id] = c.Action
		if c.Kind != "Secret" {
			checkLines(t, target.Path+": "+id, c.Diff, old.objects[id], new.objects[id])
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: changes (-kubectl +davit):\n%s", target.Path, d)
	}
	return len(want)
}

// checkLines checks that a diff adds and removes exactly the lines in which
// kubectl's two renderings differ. Lines are counted, not compared in order: the
// diff leaves out moves of keyed list items on purpose.
func checkLines(t testing.TB, what, diff string, old, new []byte) {
	t.Helper()
	balance := map[string]int{}
	count := func(object []byte, by int) {
		if object == nil {
			return
		}
		text, err := yaml.JSONToYAML(object)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			balance[strings.TrimRight(line, "\n")] += by
		}
	}
	count(new, 1)
	count(old, -1)
	for line := range strings.Lines(diff) {
		switch text := strings.TrimRight(line[1:], "\n"); line[0] {
		case '+':
			balance[text]--
		case '-':
			balance[text]++
		}
	}
	for line, left := range balance {
		if left != 0 {
			t.Errorf("%s: the line %q is off by %d in\n%s", what, line, left, diff)
			return
		}
	}
}
