package git

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// refs are the refs that a mirror shall have as they are at the source: branches, tags,
// and the head of one pull or merge request, of which anybody may open one that holds
// anything. Git prunes what these patterns match, so what is there of other pull
// requests stays. Replaced objects (refs/replace) are not among them: they would change
// what an id means.
func (s Source) refs() []string {
	all := []string{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
	if s.Pull > 0 {
		for _, of := range []string{"pull", "merge-requests"} {
			// A pattern, because a ref that is named and not there is an error.
			all = append(all, fmt.Sprintf("+refs/%[1]s/%[2]d/hea*:refs/%[1]s/%[2]d/hea*", of, s.Pull))
		}
	}
	return all
}

// mirrors counts how often each mirror is open in this process, so that what a
// killed process left in one is cleared only while nobody works in it, and holds the
// door through which fetches go one by one.
var mirrors = struct {
	sync.Mutex
	open     map[string]int
	fetching map[string]chan struct{}
}{open: map[string]int{}, fetching: map[string]chan struct{}{}}

// Mirror opens the bare mirror in dir, making it if there is none. It holds every
// commit of the branches and tags, and of the pull requests that were fetched, so that
// no later question needs the network.
// A mirror belongs to one process at a time: the first to open it clears away
// what a killed one left.
func Mirror(ctx context.Context, dir string) (*Repository, error) {
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("find the git program: %w", err)
	}
	r := &Repository{program: program, env: mirrorEnvironment()}
	if r.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("open the mirror %s: %w", dir, err)
	}
	if err := r.claim(ctx); err != nil {
		return nil, fmt.Errorf("open the mirror %s: %w", dir, err)
	}
	if err := r.useScratch(filepath.Join(r.dir, "objects")); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

// claim makes or repairs the mirror if it is not open yet, and counts it as open
// until release is called.
func (r *Repository) claim(ctx context.Context) error {
	mirrors.Lock()
	defer mirrors.Unlock()
	if mirrors.open[r.dir] == 0 {
		if err := r.makeOrRepair(ctx); err != nil {
			return err
		}
	}
	mirrors.open[r.dir]++
	r.release = sync.OnceFunc(func() {
		mirrors.Lock()
		defer mirrors.Unlock()
		mirrors.open[r.dir]--
	})
	return nil
}

func (r *Repository) makeOrRepair(ctx context.Context) error {
	_, err := r.keeping().run(ctx, "/", "rev-parse", "--git-dir")
	switch {
	case err == nil:
		return clearLeftovers(r.dir)
	case exitCode(err) != fatal:
		return err
	}
	if err := checkHalfMade(r.dir); err != nil {
		return err
	}
	return r.make(ctx)
}

// fatal is git's exit code where a repository can't be used.
const fatal = 128

// checkHalfMade is an error unless the directory is missing, or holds nothing but
// what git writes before the first object: only that is thrown away.
func checkHalfMade(dir string) error {
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		switch base := filepath.Base(name); {
		case entry.Type().IsRegular() && (base == "HEAD" || base == "config" || base == "description" || strings.HasSuffix(base, ".lock")):
			return nil
		}
		return fmt.Errorf("it is no repository, but holds %s; move it away", name)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// make makes the mirror beside its place and then moves it there, so that no kill
// leaves half of one.
func (r *Repository) make(ctx context.Context) error {
	parent, base := filepath.Split(r.dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	siblings, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	prefix := base + ".new-"
	for _, sibling := range siblings {
		if strings.HasPrefix(sibling.Name(), prefix) {
			if err := os.RemoveAll(filepath.Join(parent, sibling.Name())); err != nil {
				return err
			}
		}
	}
	fresh, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return err
	}
	if _, err := r.run(ctx, "/", "init", "--quiet", "--bare", "--template=", "--", fresh); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.RemoveAll(r.dir); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return os.Rename(fresh, r.dir)
}

// clearLeftovers removes the locks and unfinished objects of a git that was
// killed; with a lock in its place, no later fetch would succeed.
func clearLeftovers(dir string) error {
	objects := filepath.Join(dir, "objects") + string(filepath.Separator)
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		unfinished := strings.HasPrefix(name, objects) && strings.HasPrefix(entry.Name(), "tmp_")
		switch {
		case unfinished && entry.IsDir():
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			return fs.SkipDir
		case unfinished, !entry.IsDir() && strings.HasSuffix(name, ".lock"):
			return os.Remove(name)
		}
		return nil
	})
}

// mirrorEnvironment is for repositories of other people: nobody's configuration or
// attributes on this machine hold, only protocols that fetch and push are spoken, and
// no object is fetched because it is missing.
func mirrorEnvironment() []string {
	return append(baseEnvironment(), "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ALLOW_PROTOCOL=https:http:file",
		"GIT_NO_LAZY_FETCH=1", "HOME=/nonexistent")
}

// keeping is the mirror as fetches see it: what they write belongs to the mirror,
// not to the scratch directory.
func (r *Repository) keeping() *Repository {
	keeping := *r
	keeping.env = append(mirrorEnvironment(), "GIT_DIR="+r.dir)
	return &keeping
}

// Source is where a mirror is fetched from, and where branches are pushed to. User and
// Password are sent to the host of URL and to no other: redirects are not followed.
type Source struct {
	URL, User, Password string
	Pull                int // the pull or merge request whose commits are fetched besides the branches; 0 is none
}

// A fetch or push over HTTP is given up when less than lowSpeed bytes a second pass for
// lowSpeedTime seconds.
const (
	lowSpeed     = "1000"
	lowSpeedTime = "60"
)

// knowing is the repository as a git sees it that talks to a source: with the
// password, which no error repeats even if the source does.
func (r *Repository) knowing(s Source) (*Repository, error) {
	environment, err := s.environment()
	if err != nil {
		return nil, err
	}
	knowing := r.with(environment...)
	if s.Password != "" {
		knowing.hide = strings.NewReplacer(s.authorization(), "***", s.Password, "***")
	}
	return knowing, nil
}

// authorization is user and password as they are sent.
func (s Source) authorization() string {
	return base64.StdEncoding.EncodeToString([]byte(s.User + ":" + s.Password))
}

// environment tells git the password where no other user of the machine can read it,
// which they could in its arguments.
func (s Source) environment() ([]string, error) {
	configuration := []string{"http.followRedirects", "false", "http.lowSpeedLimit", lowSpeed, "http.lowSpeedTime", lowSpeedTime}
	if s.Password != "" {
		address, err := url.Parse(s.URL)
		if err != nil {
			return nil, errors.New("the address is none") // which url.Parse would repeat
		}
		site := (&url.URL{Scheme: address.Scheme, Host: address.Host, Path: "/"}).String()
		configuration = append(configuration, "http."+site+".extraHeader",
			"Authorization: Basic "+s.authorization())
	}
	environment := []string{"GIT_CONFIG_COUNT=" + strconv.Itoa(len(configuration)/2)}
	for i := 0; i < len(configuration); i += 2 {
		n := strconv.Itoa(i / 2)
		environment = append(environment, "GIT_CONFIG_KEY_"+n+"="+configuration[i], "GIT_CONFIG_VALUE_"+n+"="+configuration[i+1])
	}
	return environment, nil
}

// Fetch brings a mirror up to date with a repository: its branches, its tags, and the
// pull request that from names. Of these, refs that are gone there go here.
// Two fetches into one mirror wait for each other: git has no patience with a ref that
// somebody else writes.
func (r *Repository) Fetch(ctx context.Context, from Source) error {
	if err := r.fetch(ctx, from); err != nil {
		return fmt.Errorf("fetch into the mirror %s: %w", r.dir, err)
	}
	return nil
}

func (r *Repository) fetch(ctx context.Context, from Source) error {
	free, err := turn(ctx, r.dir)
	if err != nil {
		return err
	}
	defer free()
	keeping, err := r.keeping().knowing(from)
	if err != nil {
		return err
	}
	if err := keeping.matchFormat(ctx, from.URL); err != nil {
		return err
	}
	args := append([]string{"fetch", "--quiet", "--prune", "--no-tags", "--no-recurse-submodules", "--no-auto-gc", "--no-write-fetch-head",
		"--end-of-options", from.URL}, from.refs()...)
	_, err = keeping.run(ctx, r.dir, args...)
	return err
}

// ErrBusy is what a fetch answers while another one into the same mirror takes its time.
var ErrBusy = errors.New("the mirror is being fetched into")

// patience is how long a fetch waits for another one.
const patience = 10 * time.Second

// turn waits until nobody fetches into a mirror, and returns what lets the next one.
func turn(ctx context.Context, dir string) (free func(), err error) {
	mirrors.Lock()
	door, made := mirrors.fetching[dir]
	if !made {
		door = make(chan struct{}, 1)
		mirrors.fetching[dir] = door
	}
	mirrors.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case door <- struct{}{}:
		return func() { <-door }, nil
	case <-timer.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// matchFormat gives a mirror that holds nothing yet the kind of object ids that
// the repository at url has. Git makes mirrors for SHA-1, and does not fetch one
// kind into the other.
func (r *Repository) matchFormat(ctx context.Context, url string) error {
	refs, err := r.run(ctx, r.dir, "for-each-ref", "--count=1")
	if err != nil || refs != "" {
		return err
	}
	remote, err := r.run(ctx, r.dir, "ls-remote", "--quiet", "--end-of-options", url)
	if err != nil {
		return err
	}
	id, _, _ := strings.Cut(remote, "\t")
	if len(id) != sha256Length {
		return nil
	}
	for _, setting := range [][]string{{"core.repositoryFormatVersion", "1"}, {"extensions.objectFormat", "sha256"}} {
		if _, err := r.run(ctx, r.dir, append([]string{"config"}, setting...)...); err != nil {
			return err
		}
	}
	return r.objects.restart()
}
