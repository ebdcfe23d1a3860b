// Command trim writes the part of GitHub's OpenAPI description that Davit's
// simulator and provider are held to. It gets the description as the npm package
// that publishes it, and writes test data alone: no program of the product ever
// runs it or reads its source.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	source = "@octokit/openapi@23.0.2"
	wants  = "package/generated/api.github.com.json"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: trim OPERATIONS OUTPUT")
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, operations, output string) error {
	wanted, err := readWanted(operations)
	if err != nil {
		return err
	}
	text, err := fetch(ctx)
	if err != nil {
		return err
	}
	var description object
	if err := json.Unmarshal(text, &description); err != nil {
		return fmt.Errorf("read the description: %w", err)
	}
	if err := correctAll(description); err != nil {
		return err
	}
	trimmed, err := trim(description, wanted)
	if err != nil {
		return err
	}
	if err := os.WriteFile(output, append(trimmed, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the trimmed description: %w", err)
	}
	return nil
}

// fetch packs the published package into a directory of its own and takes one
// file out of it.
func fetch(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "trim")
	if err != nil {
		return nil, fmt.Errorf("make a directory for %s: %w", source, err)
	}
	defer os.RemoveAll(dir)
	pack := exec.CommandContext(ctx, "npm", "pack", "--silent", source)
	pack.Dir = dir
	if said, err := pack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w: %s", source, err, said)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(archives) != 1 {
		return nil, fmt.Errorf("npm pack %s: %d archives, not one", source, len(archives))
	}
	archive, err := os.Open(archives[0])
	if err != nil {
		return nil, fmt.Errorf("open the package: %w", err)
	}
	defer archive.Close()
	return extract(archive)
}

func extract(archive io.Reader) ([]byte, error) {
	unzipped, err := gzip.NewReader(archive)
	if err != nil {
		return nil, fmt.Errorf("read the package: %w", err)
	}
	entries := tar.NewReader(unzipped)
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the package %s has no %s", source, wants)
		}
		if err != nil {
			return nil, fmt.Errorf("read the package: %w", err)
		}
		if entry.Name == wants {
			return io.ReadAll(entries)
		}
	}
}

// wanted is what the list of operations names.
type wanted struct {
	operations [][2]string // method in lower case, path
	schemas    []string    // of webhooks
}

func readWanted(file string) (wanted, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return wanted{}, fmt.Errorf("read the operations: %w", err)
	}
	var w wanted
	for number, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(line, "#"):
		case fields[0] == "WEBHOOK" && len(fields) <= 3:
			name := strings.Join(append([]string{"webhook"}, fields[1:]...), "-")
			w.schemas = append(w.schemas, strings.ReplaceAll(name, "_", "-"))
		case len(fields) == 2 && strings.HasPrefix(fields[1], "/"):
			w.operations = append(w.operations, [2]string{strings.ToLower(fields[0]), fields[1]})
		default:
			return wanted{}, fmt.Errorf("%s:%d: neither METHOD /path nor WEBHOOK event [action]", file, number+1)
		}
	}
	return w, nil
}

type object = map[string]any

// trim keeps what is wanted and what it reaches; json.Marshal sorts it.
func trim(whole object, w wanted) ([]byte, error) {
	all := inside(whole, "paths")
	kept := keeper{from: inside(whole, "components"), kept: object{}}
	paths := object{}
	for _, operation := range w.operations {
		method, path := operation[0], operation[1]
		found, is := inside(all, path)[method]
		if !is {
			return nil, fmt.Errorf("the description has no operation %s %s", strings.ToUpper(method), path)
		}
		stripped := strip(found, false)
		inside(paths, path)[method] = stripped
		kept.reach(stripped)
	}
	for _, name := range w.schemas {
		kept.keep("#/components/schemas/" + name)
	}
	if len(kept.missing) > 0 {
		return nil, fmt.Errorf("the description has no %s", strings.Join(kept.missing, ", "))
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(object{
		"openapi":    whole["openapi"],
		"info":       object{"title": "GitHub", "version": inside(whole, "info")["version"]},
		"servers":    []object{{"url": "/"}},
		"paths":      paths,
		"components": kept.kept,
	})
	return bytes.TrimSpace(out.Bytes()), err
}

// inside is the object of a name, made when there is none.
func inside(of object, name string) object {
	found, is := of[name].(object)
	if !is {
		found = object{}
		of[name] = found
	}
	return found
}

// keeper copies components, each once, with all that they refer to.
type keeper struct {
	from, kept object
	missing    []string
}

func (k *keeper) reach(value any) {
	switch value := value.(type) {
	case object:
		if to, is := value["$ref"].(string); is {
			k.keep(to)
		}
		for _, inner := range value {
			k.reach(inner)
		}
	case []any:
		for _, inner := range value {
			k.reach(inner)
		}
	}
}

func (k *keeper) keep(to string) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(to, "#/components/"), "/")
	if _, is := inside(k.kept, kind)[name]; is {
		return
	}
	found, is := inside(k.from, kind)[name]
	if !is {
		k.missing = append(k.missing, to)
		return
	}
	stripped := strip(found, false)
	inside(k.kept, kind)[name] = stripped
	k.reach(stripped)
}

// prose are the keys that say something to people and nothing to a validator.
var prose = map[string]bool{
	"summary": true, "title": true, "example": true, "examples": true,
	"tags": true, "externalDocs": true, "deprecated": true,
}

// strip drops prose. The keys of a map of names (the properties of a schema) are
// names, whatever they spell.
func strip(value any, names bool) any {
	switch value := value.(type) {
	case object:
		out := object{}
		for key, inner := range value {
			switch {
			case names:
				out[key] = strip(inner, false)
			case prose[key] || strings.HasPrefix(key, "x-"):
			case key == "description":
				if value["content"] != nil || value["headers"] != nil || len(value) == 1 {
					out[key] = "" // a response must have one
				}
			case key == "enum" || key == "default" || key == "required":
				out[key] = inner
			default:
				out[key] = strip(inner, key == "properties" || key == "headers")
			}
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, inner := range value {
			out[i] = strip(inner, false)
		}
		return out
	}
	return value
}
