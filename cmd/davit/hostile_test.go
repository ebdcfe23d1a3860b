package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/davitops/davit/internal/worker"
)

// row is one line of testdata/hostile/table.txt.
type row struct{ name, code, at string }

func hostileRows(t *testing.T) []row {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "testdata", "hostile", "table.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		rows = append(rows, row{fields[0], fields[1], fields[2]})
	}
	if len(rows) < 60 {
		t.Fatalf("the table has only %d rows", len(rows))
	}
	return rows
}

// slow rows end by a limit of many seconds; they are left to the long tests.
var slow = map[string]bool{"many-objects": true, "long-prefix": true}

// TestHostile previews a pull request that adds each of the samples, and checks
// how it ends, what it cost and that it reached nothing.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, r := range hostileRows(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if slow[r.name] && !long {
				t.Skip("ends by a limit of many seconds; make e2e runs it")
			}
			traps := newTraps(t)
			dir := hostileRepository(t, r.name, traps)
			preview, result := previewWith(t, traps, dir)
			checkEnd(t, r, preview, result)
			if hits := traps.http.Load(); hits != 0 {
				t.Errorf("%d HTTP requests arrived", hits)
			}
			if ran := traps.executed(t); ran != "" {
				t.Errorf("programs were run:\n%s", ran)
			}
			if peak, limit := resident(result.state), worker.DefaultLimits().Resident; peak > limit {
				t.Errorf("%d MiB resident, the limit is %d MiB", peak>>20, limit>>20)
			}
		})
	}
}

// resident is the most memory in bytes that a program or one it waited for had,
// as the kernel counted it. For a worker the kernel begins to count at davit's own
// size, so this can only be too much.
func resident(state *os.ProcessState) int64 { return state.SysUsage().(*syscall.Rusage).Maxrss << 10 }

// hostilePreview is what the test reads of the JSON contract.
type hostilePreview struct {
	Targets []struct {
		Name  string
		Error *struct {
			Code, Message, File string
			Line                int
		}
	}
}

// previewWith runs a preview where every program it could run is a trap.
func previewWith(t *testing.T, traps *traps, dir string) (hostilePreview, result) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "preview", "-o", "json", "-C", dir, "--base", "main", "--head", "change")
	cmd.Env = traps.environment()
	r := execute(t, cmd)
	var p hostilePreview
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatalf("davit printed no JSON (exit %d): %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	return p, r
}

// canary is a value that must appear nowhere.
const canary = "zQ7vW2kX9pL4mN8rT3yB6hJ1"

func checkEnd(t *testing.T, r row, p hostilePreview, result result) {
	t.Helper()
	if r.code == "ok" {
		if result.code != 0 && result.code != 1 {
			t.Errorf("exit code %d for input that is only strange:\n%s%s", result.code, result.stdout, result.stderr)
		}
		return
	}
	if result.code != 2 {
		t.Errorf("exit code %d, want 2:\n%s%s", result.code, result.stdout, result.stderr)
	}
	for _, target := range p.Targets {
		if target.Error == nil {
			continue
		}
		if got := fmt.Sprintf("%s:%d", target.Error.File, target.Error.Line); !slices.Contains(strings.Split(r.code, ","), target.Error.Code) || got != r.at {
			t.Errorf("ended in %s at %s (%s), want %s at %s", target.Error.Code, got, target.Error.Message, r.code, r.at)
		}
		return
	}
	t.Errorf("no target has an error:\n%s", result.stdout)
}

// traps are what an escape would reach: an HTTP server, and programs of the
// names that kustomize runs. Each counts who comes.
type traps struct {
	dir    string
	server *httptest.Server
	http   atomic.Int64
}

func newTraps(t *testing.T) *traps {
	t.Helper()
	tr := &traps{dir: t.TempDir()}
	tr.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tr.http.Add(1)
		http.NotFound(w, nil)
	}))
	t.Cleanup(tr.server.Close)
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	// Davit itself runs git to read the repository. What kustomize runs it for
	// would be to fetch.
	tr.program(t, "git", fmt.Sprintf(`for a in "$@"; do case "$a" in fetch|clone|remote|ls-remote|submodule) echo "git $*" >> %s;; esac; done; exec %s "$@"`, tr.log(), git))
	for _, name := range []string{"helm", "docker", "sh", "ssh"} {
		tr.program(t, name, fmt.Sprintf(`echo "%s $*" >> %s`, name, tr.log()))
	}
	return tr
}

func (tr *traps) log() string { return filepath.Join(tr.dir, "log") }

func (tr *traps) program(t *testing.T, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(tr.dir, name), []byte("#!/bin/bash\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (tr *traps) environment() []string {
	return []string{"PATH=" + tr.dir, "HOME=" + tr.dir, "KUSTOMIZE_PLUGIN_HOME=" + filepath.Join(tr.dir, "plugins"), "CANARY=" + canary}
}

func (tr *traps) executed(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(tr.log())
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// hostileRepository makes a repository whose branch change adds the sample.
func hostileRepository(t *testing.T, name string, traps *traps) string {
	t.Helper()
	archive := &txtar.Archive{}
	generate, generated := generators[name]
	if generated {
		archive.Files = generate()
	} else {
		data, err := os.ReadFile(filepath.Join(root, "testdata", "hostile", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		archive = txtar.Parse([]byte(strings.NewReplacer("${TRAP}", traps.server.URL, "${MARK}", traps.log()).Replace(string(data))))
	}
	for i := range archive.Files {
		archive.Files[i].Name = "head/" + archive.Files[i].Name
	}
	archive.Files = append(archive.Files,
		txtar.File{Name: "base/good/kustomization.yaml", Data: []byte("resources: [cm.yaml]\n")},
		txtar.File{Name: "base/good/cm.yaml", Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n")})
	dir := repositoryOf(t, archive)
	if name == "submodule" {
		git(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+git(t, dir, "rev-parse", "HEAD")+",evil/base")
		git(t, dir, "commit", "--quiet", "-m", "submodule")
	}
	return dir
}

// generators make the samples that are too large, or too little text, to be
// files.
var generators = map[string]func() []txtar.File{
	"deep-flow": func() []txtar.File {
		return evil("deep.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: "+strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)+"\n")
	},
	"deep-block": func() []txtar.File {
		var b strings.Builder
		b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
		for depth := range 2000 {
			b.WriteString(strings.Repeat(" ", depth) + "a:\n")
		}
		return evil("deep.yaml", b.String())
	},
	"invalid-utf8": func() []txtar.File {
		return evil("bytes.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"\xff\xfe\"}\n")
	},
	"nul-byte": func() []txtar.File {
		return evil("bytes.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"\x00\"}\n")
	},
	"invalid-utf8-plain": func() []txtar.File {
		return []txtar.File{file("a.yaml", configMap), file("bytes.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: \"\xff\xfe\"}\n")}
	},
	"submodule": func() []txtar.File {
		return []txtar.File{file("kustomization.yaml", "resources:\n- base\n")}
	},
	"archive": func() []txtar.File {
		return evil("bundle.yaml", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xc1\x01\x0d\n\x00\x00")
	},
	"many-objects": func() []txtar.File {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a%d}\n", i)
		}
		return evil("many.yaml", b.String())
	},
	"long-prefix": func() []txtar.File {
		var b strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a%d}\n", i)
		}
		return []txtar.File{file("kustomization.yaml", "resources: [many.yaml]\nnamePrefix: "+strings.Repeat("a", 1<<20)+"\n"), file("many.yaml", b.String())}
	},
	"huge-integer": func() []txtar.File {
		return evil("cm.yaml", "apiVersion: example.com/v1\nkind: Number\nmetadata: {name: a}\nspec: {n: "+strings.Repeat("9", 100_000)+"}\n")
	},
	"crlf": func() []txtar.File {
		return evil("cm.yaml", strings.ReplaceAll(configMap, "\n", "\r\n"))
	},
	"byte-order-mark": func() []txtar.File {
		return evil("cm.yaml", "\ufeff"+configMap)
	},
	"long-scalar": func() []txtar.File {
		return evil("cm.yaml", configMap+"data:\n  a: "+strings.Repeat("long ", 1<<20)+"\n")
	},
	"strange-name": func() []txtar.File {
		return []txtar.File{file("kustomization.yaml", "resources: [cm.yaml]\n"), file("cm.yaml", configMap), file("\xff\xfe.yaml", configMap)}
	},
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

// evil is a kustomization of one file.
func evil(name, content string) []txtar.File {
	return []txtar.File{file("kustomization.yaml", "resources: ["+name+"]\n"), file(name, content)}
}

func file(name, content string) txtar.File {
	return txtar.File{Name: "evil/" + name, Data: []byte(content)}
}

// TestTrapsCount proves that each counter of TestHostile counts: the same
// samples, given to a kustomize that is allowed everything, reach the traps.
func TestTrapsCount(t *testing.T) {
	t.Parallel()
	for name, reached := range map[string]func(*traps) bool{
		"http-resource": func(tr *traps) bool { return tr.http.Load() > 0 },
		"git-resource":  func(tr *traps) bool { return strings.Contains(tr.executed(t), "git ") },
		"helm-charts":   func(tr *traps) bool { return strings.Contains(tr.executed(t), "helm ") },
		"exec-plugin":   func(tr *traps) bool { return strings.Contains(tr.executed(t), "plugin ") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTraps(t)
			dir := hostileRepository(t, name, tr)
			plugins := filepath.Join(tr.dir, "plugins", "evil.example", "v1", "runner")
			if err := os.MkdirAll(plugins, 0o755); err != nil {
				t.Fatal(err)
			}
			tr.program(t, "plugins/evil.example/v1/runner/Runner", fmt.Sprintf(`echo "plugin $*" >> %s`, tr.log()))
			cmd := exec.CommandContext(t.Context(), playground(t), "kubectl", "kustomize", "--enable-helm", "--enable-alpha-plugins", filepath.Join(dir, "evil"))
			cmd.Env = tr.environment()
			out := execute(t, cmd)
			if !reached(tr) {
				t.Errorf("the trap counted nothing:\n%s", out.stderr)
			}
		})
	}
}

// TestMemoryCounts proves the same of the counter of memory: the alias bomb that
// davit refuses takes a kustomize that has no guard beyond davit's limit.
func TestMemoryCounts(t *testing.T) {
	t.Parallel()
	dir := hostileRepository(t, "alias-bomb", newTraps(t))
	const addressSpace = 5 << 20 // in KiB, so that the machine survives
	script := fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, addressSpace)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script, playground(t), "kubectl", "kustomize", filepath.Join(dir, "evil"))
	out := execute(t, cmd)
	if peak, limit := resident(out.state), worker.DefaultLimits().Resident; out.code == 0 || peak < limit {
		t.Errorf("kubectl ended with %d after %d MiB; the bomb is none, or the counter does not count", out.code, peak>>20)
	}
}
