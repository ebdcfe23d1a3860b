// Package law is the import law of the house, as a test: which room may import
// which, what the core may never touch, and that every room says what it is. It
// parses files and runs nothing, so a cached result is never stale.
package law

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/davitops/davit/"

// room is one line of the law.
type room struct {
	name string
	core bool
	may  []string
	why  string
}

// rooms says, for every package of internal/, which other rooms its files, tests
// aside, may import. Core rooms may import the core rooms above them.
var rooms = []room{
	{"gitops", true, nil, "the nouns import nothing of ours"},
	{"tree", true, nil, "facts about files, shared by git, the worker and the renderers"},
	{"manifest", true, []string{"gitops"}, "discovery asks it what a document is, so it stands above target"},
	{"settings", true, []string{"manifest"}, "it reads any configuration file and knows none"},
	{"forge", true, []string{"gitops"}, "the contract alone: what is written to a forge is a value that the core makes"},
	{"command", true, nil, "text in, commands out"},
	{"target", true, []string{"gitops", "tree", "manifest", "settings"}, ""},
	{"diff", true, []string{"gitops", "manifest"}, ""},
	{"policy", true, []string{"gitops"}, "it knows no engine"},
	{"plan", true, []string{"gitops", "manifest"}, "what a cluster says is a value to it"},
	{"verdict", true, []string{"gitops"}, "what a cluster shows is a value to it"},
	{"authority", true, []string{"gitops", "plan"}, ""},
	{"ledger", true, []string{"forge", "gitops", "plan", "verdict"}, "what is committed, and no database"},
	{"report", true, []string{"gitops", "manifest", "plan", "policy", "verdict"}, ""},
	{"rollout", true, []string{"gitops", "manifest", "forge", "command", "target", "plan", "verdict", "ledger", "report"}, ""},
	{"review", true, []string{"gitops", "forge", "command", "plan", "ledger", "report", "rollout", "policy"}, ""},

	{"git", false, []string{"tree"}, "an adapter fills the facts of one core room"},
	{"worker", false, []string{"tree"}, "it runs jobs and knows none"},
	{"render", false, []string{"gitops", "tree", "manifest", "target", "worker"}, ""},
	{"engine", false, []string{"gitops", "manifest", "diff", "policy", "worker", "engine/builtin"}, "the registry names each engine once"},
	{"engine/builtin", false, []string{"gitops", "manifest", "policy"}, ""},
	{"survey", false, []string{"gitops", "tree", "manifest", "target", "diff", "plan", "policy", "report"}, "the core, and interfaces of its own"},
	{"config", false, []string{"manifest", "settings", "authority"}, ""},
	{"cluster", false, []string{"gitops", "manifest", "plan"}, "it fills the facts of plan, and judges nothing"},
	{"cluster/health", false, []string{"cluster", "gitops", "verdict"}, "it fills the facts of verdict, and judges nothing"},
	{"cluster/watch", false, []string{"cluster", "cluster/health", "gitops", "plan", "verdict"}, ""},
	{"cluster/apply", false, []string{"cluster", "cluster/watch", "gitops", "manifest", "plan", "verdict"}, ""},
	{"cluster/clustertest", false, []string{"manifest"}, "for tests alone"},
	{"forge/fake", false, []string{"forge", "gitops"}, "a forge in memory, for tests alone"},
	{"forge/forgetest", false, []string{"forge", "gitops"}, "the suite of every provider, for tests alone"},
	{"forge/github", false, []string{"forge", "gitops"}, "a provider imports the contract and nothing else of ours"},
	{"forge/github/githubsim", false, []string{"forge/openapi"}, "it knows GitHub, and nothing of what talks to it"},
	{"forge/openapi", false, nil, "for tests and simulators alone"},
	{"forge/openapi/trim", false, nil, "a program that writes test data"},
	{"webhook", false, []string{"forge", "ledger"}, "it stores, and never parses"},
	{"store", false, []string{"forge", "gitops", "ledger"}, "the ledger on SQL, whichever it is"},
	{"telemetry", false, nil, ""},
	{"bot", false, []string{"command", "forge", "gitops", "ledger", "manifest", "plan", "report", "review", "rollout", "survey", "target", "tree", "verdict"}, "the core, and interfaces of its own"},
	{"fleet", false, []string{"authority", "cluster", "cluster/apply", "cluster/health", "config", "gitops", "ledger", "manifest", "plan", "rollout", "verdict"}, "the one way from a target to a cluster"},
	{"law", false, nil, ""},
}

// owners are the modules that only some packages may import.
var owners = map[string][]string{
	"sigs.k8s.io/kustomize/":             {"internal/render"},
	"k8s.io/":                            {"internal/cluster", "internal/cluster/apply", "internal/cluster/health", "internal/cluster/watch"},
	"github.com/fluxcd/":                 {"internal/cluster/health"},
	"sigs.k8s.io/structured-merge-diff/": {"internal/plan"},
	"github.com/landlock-lsm/":           {"internal/worker"},
	"golang.org/x/sys":                   {"internal/worker"},
	"os/exec":                            {"internal/worker", "internal/git", "internal/cluster/clustertest", "internal/forge/github/githubsim", "internal/forge/openapi/trim", "cmd/demo"},
	"github.com/spf13/":                  {"cmd/davit", "cmd/githubsim"},
	"net/http":                           {"internal/worker", "internal/forge/github", "internal/forge/github/githubsim", "internal/forge/openapi", "internal/webhook", "internal/telemetry", "internal/cluster", "internal/fleet", "cmd/davit", "cmd/githubsim", "cmd/demo"},
	"database/sql":                       {"internal/store"},
	"modernc.org/sqlite":                 {"internal/store"},
	"github.com/jackc/":                  {"internal/store"},
	"github.com/riverqueue/":             {"internal/store"},
	"github.com/google/go-github":        {"internal/forge/github"},
	"github.com/bradleyfalzon/":          {"internal/forge/github"},
	"github.com/hashicorp/":              {"internal/forge/github"},
	"github.com/getkin/":                 {"internal/forge/openapi", "internal/forge/openapi/trim"},
	"github.com/prometheus/":             {"internal/telemetry"},
	"syscall":                            {"internal/worker", "internal/cluster", "internal/cluster/clustertest", "internal/store", "cmd/davit", "cmd/githubsim", "cmd/demo"},
	"github.com/aymanbagabas/go-udiff":   {"internal/diff"},
}

// outside are the packages of the standard library by which code reaches the
// world. No core room imports one.
var outside = []string{"os", "os/exec", "io/fs", "net", "net/http", "log", "log/slog", "path/filepath", "math/rand", "math/rand/v2", "crypto/rand", "syscall", "testing"}

// banned are calls that make a result depend on when it is asked for.
var banned = map[string][]string{
	"time":    {"Now", "Since", "Until", "After", "Sleep", "Tick", "NewTimer", "NewTicker", "AfterFunc"},
	"context": {"Background", "TODO"},
}

// beginnings are the rooms, outside of cmd, that may begin a context: programs, and what
// outlives the call that starts it, and has a Close.
var beginnings = []string{"internal/worker", "internal/forge/openapi/trim"}

// badNames say nothing about what is inside.
var badNames = []string{"util", "utils", "common", "helpers", "helper", "models", "types", "base", "core", "manager", "misc", "shared"}

// file is one parsed Go file.
type file struct {
	path string // from the repository's root
	test bool
	tree *ast.File
	set  *token.FileSet
}

func (f file) room() string { return path.Dir(f.path) }

func (f file) imports() []string {
	var names []string
	for _, spec := range f.tree.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			names = append(names, name)
		}
	}
	return names
}

func (f file) at(n ast.Node) string {
	return f.path + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

// parse reads every Go file of the module; modules nested in it have laws of
// their own.
func parse(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var files []file
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, name)
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			_, nested := os.Stat(filepath.Join(name, "go.mod"))
			if relative != "." && (nested == nil || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, file{path: relative, test: strings.HasSuffix(name, "_test.go"), tree: parsed, set: set})
		return nil
	})
	if err != nil {
		t.Fatalf("parse the module: %v", err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files; the walk is broken", len(files))
	}
	return files
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		if f.test || !strings.HasPrefix(f.path, "internal/") {
			continue
		}
		name := strings.TrimPrefix(f.room(), "internal/")
		at := slices.IndexFunc(rooms, func(r room) bool { return r.name == name })
		if at < 0 {
			t.Errorf("%s: the room %q has no line in the law", f.path, name)
			continue
		}
		for _, imported := range f.imports() {
			imports, ours := strings.CutPrefix(imported, module+"internal/")
			if ours && !slices.Contains(rooms[at].may, imports) {
				t.Errorf("%s: %s may not import %s (it may: %s)", f.path, name, imports, strings.Join(rooms[at].may, ", "))
			}
			if rooms[at].core && slices.Contains(outside, imported) {
				t.Errorf("%s: the core room %s may not import %s: values in, values out", f.path, name, imported)
			}
		}
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		if f.test {
			continue
		}
		for _, imported := range f.imports() {
			for prefix, allowed := range owners {
				if imported != strings.TrimSuffix(prefix, "/") && !strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/") {
					continue
				}
				if !slices.Contains(allowed, f.room()) {
					t.Errorf("%s imports %s, which belongs to %s", f.path, imported, strings.Join(allowed, ", "))
				}
			}
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		name := strings.TrimPrefix(f.room(), "internal/")
		core := slices.ContainsFunc(rooms, func(r room) bool { return r.core && r.name == name })
		if f.test || !core {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a core room starts no goroutine", f.at(n))
			case *ast.SelectorExpr:
				if of, isName := n.X.(*ast.Ident); isName && slices.Contains(banned[of.Name], n.Sel.Name) {
					t.Errorf("%s: a core room does not call %s.%s: what it needs is a parameter", f.at(n), of.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, f := range parse(t) {
		if slices.Contains(badNames, path.Base(f.room())) {
			t.Errorf("%s: the name %q says nothing about what is inside", f.path, path.Base(f.room()))
		}
		documented[f.room()] = documented[f.room()] || f.tree.Doc != nil && len(f.tree.Doc.Text()) > 60
	}
	for room, is := range documented {
		if !is {
			t.Errorf("%s: no file opens with a comment that says what the package is and what it never does", room)
		}
	}
}

// Limits that keep code readable. What needs more is more than one thing.
const (
	maxFunction   = 60
	maxFile       = 500
	maxParameters = 5
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		if f.test {
			continue
		}
		if lines := f.set.Position(f.tree.End()).Line; lines > maxFile && !ast.IsGenerated(f.tree) {
			t.Errorf("%s: %d lines, more than %d", f.path, lines, maxFile)
		}
		for _, declaration := range f.tree.Decls {
			function, is := declaration.(*ast.FuncDecl)
			if !is || function.Body == nil {
				continue
			}
			if lines := f.set.Position(function.End()).Line - f.set.Position(function.Pos()).Line + 1; lines > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", f.at(function), function.Name.Name, lines, maxFunction)
			}
			if count := function.Type.Params.NumFields(); count > maxParameters {
				t.Errorf("%s: %s has %d parameters, more than %d", f.at(function), function.Name.Name, count, maxParameters)
			}
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, f := range parse(t) {
		if f.room() == "internal/law" {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING && strings.Contains(strings.ToLower(n.Value), "failed to ") {
					t.Errorf("%s: an error says what was being done, not that it failed", f.at(n))
				}
			case *ast.CallExpr:
				sel, isSel := n.Fun.(*ast.SelectorExpr)
				if !isSel {
					return true
				}
				of, isName := sel.X.(*ast.Ident)
				if !isName {
					return true
				}
				if f.test && of.Name == "time" && sel.Sel.Name == "Sleep" {
					t.Errorf("%s: a test waits for what it waits for, not for a time", f.at(n))
				}
				if !f.test && of.Name == "context" && slices.Contains(banned["context"], sel.Sel.Name) && !strings.HasPrefix(f.path, "cmd/") && !slices.Contains(beginnings, f.room()) {
					t.Errorf("%s: a context comes from the caller", f.at(n))
				}
				if of.Name == "os" && sel.Sel.Name == "Exit" && !f.test && f.tree.Name.Name != "main" && f.room() != "internal/worker" {
					t.Errorf("%s: only main exits", f.at(n))
				}
			}
			return true
		})
	}
}
