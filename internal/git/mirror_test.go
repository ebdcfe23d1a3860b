package git

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mirror(t testing.TB, dir string) *Repository {
	t.Helper()
	r, err := Mirror(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, r) })
	return r
}

func fetch(t testing.TB, r *Repository, url string) {
	t.Helper()
	if err := r.Fetch(t.Context(), Source{URL: url}); err != nil {
		t.Fatal(err)
	}
}

// refs are a repository's refs and what they name.
func refs(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(git(t, dir, "for-each-ref", "--format=%(refname) %(objectname)")) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		found[name] = id
	}
	return found
}

func TestFetchIsComplete(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1")
	first := git(t, remote, "rev-parse", "HEAD")
	git(t, remote, "tag", "-a", "v1", "-m", "annotated")
	git(t, remote, "tag", "light")
	second := commit(t, remote, "a", "2")
	git(t, remote, "branch", "feature/x", first)
	pull := commit(t, remote, "a", "pull")
	git(t, remote, "update-ref", "refs/pull/7/head", pull)
	git(t, remote, "update-ref", "refs/merge-requests/8/head", pull)
	git(t, remote, "update-ref", "refs/pull/7/merge", pull)
	git(t, remote, "update-ref", "refs/pull/78/head", pull)
	git(t, remote, "update-ref", "refs/changes/01/1/1", pull)
	git(t, remote, "update-ref", "refs/notes/commits", pull)
	git(t, remote, "replace", git(t, remote, "rev-parse", first+":a"), git(t, remote, "rev-parse", second+":a"))
	git(t, remote, "reset", "--quiet", "--hard", second)

	dir := filepath.Join(t.TempDir(), "deep", "a: \"mirror\".git")
	r := mirror(t, dir)
	fetch(t, r, "file://"+remote)
	want := map[string]string{
		"refs/heads/main": second, "refs/heads/feature/x": first, "refs/tags/v1": git(t, remote, "rev-parse", "v1"), "refs/tags/light": first,
	}
	if d := cmp.Diff(want, refs(t, dir)); d != "" {
		t.Errorf("refs (-want +got):\n%s", d)
	}
	wantFiles(t, r, "refs/heads/feature/x", "a", "1")

	before := snapshot(t, dir)
	fetch(t, r, remote) // a path is a URL too
	if d := cmp.Diff(before, snapshot(t, dir)); d != "" {
		t.Errorf("a fetch of what is known changed the mirror (-before +after):\n%s", d)
	}

	third := commit(t, remote, "a", "3")
	git(t, remote, "branch", "-D", "feature/x")
	git(t, remote, "branch", "feature") // where a directory of refs was
	git(t, remote, "tag", "-d", "v1")
	git(t, remote, "tag", "--force", "light", third)
	fetch(t, r, remote)
	want = map[string]string{"refs/heads/main": third, "refs/heads/feature": third, "refs/tags/light": third}
	if d := cmp.Diff(want, refs(t, dir)); d != "" {
		t.Errorf("refs after some are gone (-want +got):\n%s", d)
	}
	wantFiles(t, r, "main", "a", "3")

	git(t, remote, "checkout", "--quiet", "--detach", second)
	git(t, remote, "branch", "--force", "main", second) // history that was rewritten
	fetch(t, r, remote)
	if id, err := r.Resolve(t.Context(), "main"); err != nil || id != second {
		t.Errorf("main is %s (%v) after it was rewritten, want %s", id, err, second)
	}
}

// TestFetchOfAPull holds that a fetch for one pull request brings nothing of another
// into the mirror, and leaves alone what is there of it.
func TestFetchOfAPull(t *testing.T) {
	t.Parallel()
	for _, forge := range []string{"refs/pull/", "refs/merge-requests/"} {
		remote := repository(t, "a", "1")
		main := git(t, remote, "rev-parse", "HEAD")
		git(t, remote, "checkout", "--quiet", "--detach")
		commits := map[string]string{}
		for _, number := range []string{"7", "8", "70"} {
			commits[number] = commit(t, remote, "a", "of "+number)
			git(t, remote, "update-ref", forge+number+"/head", commits[number])
			git(t, remote, "update-ref", forge+number+"/merge", commit(t, remote, "a", "merge of "+number))
			git(t, remote, "reset", "--quiet", "--hard", main)
		}
		r := mirror(t, filepath.Join(t.TempDir(), "mirror"))
		hold := func(pull int, want map[string]string) {
			t.Helper()
			if err := r.Fetch(t.Context(), Source{URL: remote, Pull: pull}); err != nil {
				t.Fatal(err)
			}
			want["refs/heads/main"] = main
			if d := cmp.Diff(want, refs(t, r.dir)); d != "" {
				t.Errorf("refs after a fetch for %d (-want +got):\n%s", pull, d)
			}
		}
		hold(0, map[string]string{})
		hold(7, map[string]string{forge + "7/head": commits["7"]})
		if _, err := r.Resolve(t.Context(), commits["8"]); err == nil {
			t.Error("the commit of another pull request is in the mirror")
		}
		wantFiles(t, r, commits["7"], "a", "of 7")
		hold(8, map[string]string{forge + "7/head": commits["7"], forge + "8/head": commits["8"]})
		git(t, remote, "update-ref", "-d", forge+"7/head")
		git(t, remote, "update-ref", forge+"8/head", main) // a push by force
		hold(8, map[string]string{forge + "7/head": commits["7"], forge + "8/head": main})
		hold(7, map[string]string{forge + "8/head": main})
		hold(9, map[string]string{forge + "8/head": main})
	}
}

// TestMirrorNeedsNoRemote deletes the remote: merges and reads go on.
func TestMirrorNeedsNoRemote(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1", "b", "1")
	git(t, remote, "checkout", "--quiet", "-b", "topic")
	commit(t, remote, "a", "2")
	git(t, remote, "checkout", "--quiet", "main")
	commit(t, remote, "b", "2")
	dir := filepath.Join(t.TempDir(), "mirror")
	r := mirror(t, dir)
	fetch(t, r, remote)
	if err := os.RemoveAll(remote); err != nil {
		t.Fatal(err)
	}
	merged, err := r.Merge(t.Context(), "main", "topic")
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, r, merged.Tree, "a", "2", "b", "2")
	if err := r.Fetch(t.Context(), Source{URL: remote}); err == nil {
		t.Error("a remote that is gone was fetched")
	}
	if got := len(refs(t, dir)); got != 2 {
		t.Errorf("%d refs after a fetch that did not work, want 2", got)
	}
}

func TestFetchSpeaksFewProtocols(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	r := mirror(t, filepath.Join(dir, "mirror"))
	for _, url := range []string{
		"ext::sh -c 'touch " + mark + "'", "ext::touch " + mark, "ssh://localhost/x", "git@localhost:x", "ssh://-oProxyCommand=touch " + mark + "/x",
		"git://localhost:1/x", "ftp://localhost:1/x", "fd::17", "--upload-pack=touch " + mark, "-u", "",
	} {
		if err := r.Fetch(t.Context(), Source{URL: url}); err == nil {
			t.Errorf("%q was fetched", url)
		}
	}
	if _, err := os.Stat(mark); !os.IsNotExist(err) {
		t.Errorf("a URL ran a program: %v", err)
	}
}

func TestFetchOfSHA256(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	git(t, remote, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
	dir := filepath.Join(t.TempDir(), "mirror")
	r := mirror(t, dir)
	fetch(t, r, remote) // nothing yet, so of no kind yet
	if _, err := r.Read(t.Context(), strings.Repeat("0", 40)); !errors.Is(err, ErrNoObject) {
		t.Errorf("read from a mirror of nothing: %v, want ErrNoObject", err)
	}
	id := commit(t, remote, "a", "1")
	fetch(t, r, remote)
	if got, err := r.Resolve(t.Context(), "main"); err != nil || got != id || len(got) != sha256Length {
		t.Errorf("main is %q, %v, want %s", got, err, id)
	}
	wantFiles(t, r, "main", "a", "1")
	commit(t, remote, "a", "2")
	again := mirror(t, dir)
	fetch(t, again, remote)
	wantFiles(t, again, "main", "a", "2")
}

func TestMirrorRepairs(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1")
	for _, test := range []struct {
		name  string
		leave func(t *testing.T, dir string) // what a kill left in the directory's place
	}{
		{"nothing", func(*testing.T, string) {}},
		{"an empty directory", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "x"), "")
			remove(t, filepath.Join(dir, "x"))
		}},
		{"no HEAD", func(t *testing.T, dir string) {
			git(t, "/", "init", "--quiet", "--bare", "--template=", dir)
			remove(t, filepath.Join(dir, "HEAD"))
		}},
		{"no config", func(t *testing.T, dir string) {
			git(t, "/", "init", "--quiet", "--bare", "--template=", dir)
			remove(t, filepath.Join(dir, "config"))
		}},
		{"only a HEAD", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "HEAD"), "ref: refs/heads/main\n") }},
		{"a HEAD without content", func(t *testing.T, dir string) {
			git(t, "/", "init", "--quiet", "--bare", "--template=", dir)
			write(t, filepath.Join(dir, "HEAD"), "")
		}},
		{"a locked config", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "HEAD"), "ref: refs/heads/main\n")
			write(t, filepath.Join(dir, "config.lock"), "")
		}},
		{"a broken config", func(t *testing.T, dir string) {
			git(t, "/", "init", "--quiet", "--bare", "--template=", dir)
			write(t, filepath.Join(dir, "config"), "[core")
		}},
		{"one half made beside it", func(t *testing.T, dir string) { write(t, dir+".new-123/HEAD", "ref: refs/heads/main\n") }},
		{"a fetch that was killed", func(t *testing.T, dir string) {
			git(t, "/", "clone", "--quiet", "--mirror", remote, dir)
			git(t, dir, "update-ref", "refs/heads/gone", "main")
			git(t, dir, "pack-refs", "--all")
			for _, name := range []string{"packed-refs.lock", "refs/heads/main.lock", "config.lock", "HEAD.lock", "shallow.lock", "objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x", "objects/aa/tmp_obj_x", "objects/tmp_objdir-incoming-x/pack/p"} {
				write(t, filepath.Join(dir, name), "")
			}
			git(t, remote, "update-ref", "refs/heads/tmp_branch", "main") // whose name only looks unfinished
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, "mirror")
			test.leave(t, dir)
			r := mirror(t, dir)
			for range 2 {
				fetch(t, r, remote)
				wantFiles(t, r, "main", "a", "1")
			}
			again := mirror(t, dir)
			fetch(t, again, remote)
			for name := range snapshot(t, parent) {
				if base := filepath.Base(name); strings.HasSuffix(base, ".lock") || strings.HasPrefix(base, "tmp_") && !strings.Contains(name, "refs") || strings.Contains(base, ".new-") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

func remove(t testing.TB, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func TestMirrorDestroysNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"notes.txt", "HEAD/x", "objects/pack/pack-1.pack", "refs/heads/main", "sub/config.yaml"} {
		dir := filepath.Join(t.TempDir(), "precious")
		write(t, filepath.Join(dir, name), "precious")
		if r, err := Mirror(t.Context(), dir); err == nil {
			closed(t, r)
			t.Errorf("a directory with %s became a mirror", name)
		}
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != "precious" {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
	link := filepath.Join(t.TempDir(), "mirror")
	if err := os.MkdirAll(link, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(link, "config")); err != nil {
		t.Fatal(err)
	}
	if r, err := Mirror(t.Context(), link); err == nil {
		closed(t, r)
		t.Error("a directory with a link became a mirror")
	}
}

// TestMirrorLeavesWorkAlone opens a mirror that is open: what looks left over may
// be at work.
func TestMirrorLeavesWorkAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mirror")
	first, err := Mirror(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, "refs/heads/main.lock")
	write(t, lock, "")
	closed(t, mirror(t, dir)) // closed twice, which counts once
	mirror(t, dir)
	if _, err := os.Stat(lock); err != nil {
		t.Errorf("the lock is gone while the mirror is open: %v", err)
	}
	closed(t, first)
}

func TestMirrorConcurrently(t *testing.T) {
	t.Parallel()
	remote := repository(t, "a", "1")
	dir := filepath.Join(t.TempDir(), "mirror")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if r, err := Mirror(t.Context(), dir); err != nil {
				t.Error(err)
			} else {
				closed(t, r)
			}
		})
	}
	group.Wait()
	r := mirror(t, dir)
	fetch(t, r, remote)
	wantFiles(t, r, "main", "a", "1")
}

func TestMirrorIgnoresSettings(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mirror")
	r := mirror(t, dir)
	for _, name := range []string{"hooks", "branches", "description"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("the mirror was made from a template: %s", name)
		}
	}
	if r.HasWorkTree() {
		t.Error("a mirror has a work tree")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Fetch(ctx, Source{URL: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("a fetch without time: %v, want context.Canceled", err)
	}
	if _, err := Mirror(ctx, filepath.Join(t.TempDir(), "other")); !errors.Is(err, context.Canceled) {
		t.Errorf("a mirror without time: %v, want context.Canceled", err)
	}
}
