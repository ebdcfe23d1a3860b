package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const whole = `{
	"openapi": "3.0.3", "info": {"title": "t", "version": "7", "description": "long"}, "tags": [{"name": "a"}],
	"paths": {
		"/a": {"get": {"summary": "s", "tags": ["x"], "x-github": {}, "parameters": [{"$ref": "#/components/parameters/p"}],
			"responses": {"200": {"description": "d", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/one"}, "examples": {"e": {"$ref": "#/components/examples/e"}}}}}}},
			"post": {"responses": {}}},
		"/b": {"get": {"responses": {}}}
	},
	"components": {
		"schemas": {
			"one": {"type": "object", "title": "One", "description": "d", "properties": {"title": {"type": "string", "description": "d"}, "description": {"$ref": "#/components/schemas/two"}}, "required": ["title"]},
			"two": {"type": "string", "enum": ["summary"], "items": {"$ref": "#/components/schemas/one"}},
			"three": {}, "webhook-push": {"type": "object", "properties": {"x-y": {"type": "string"}}}
		},
		"parameters": {"p": {"name": "p", "in": "query", "description": "d", "schema": {"type": "string", "example": "e"}}},
		"examples": {"e": {"value": 1}}
	}
}`

// What is wanted is kept with what it reaches, and names are no prose.
func TestTrim(t *testing.T) {
	t.Parallel()
	var description object
	if err := json.Unmarshal([]byte(whole), &description); err != nil {
		t.Fatal(err)
	}
	got, err := trim(description, wanted{operations: [][2]string{{"get", "/a"}}, schemas: []string{"webhook-push"}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"components":{"parameters":{"p":{"in":"query","name":"p","schema":{"type":"string"}}},` +
		`"schemas":{"one":{"properties":{"description":{"$ref":"#/components/schemas/two"},"title":{"type":"string"}},"required":["title"],"type":"object"},` +
		`"two":{"enum":["summary"],"items":{"$ref":"#/components/schemas/one"},"type":"string"},` +
		`"webhook-push":{"properties":{"x-y":{"type":"string"}},"type":"object"}}},` +
		`"info":{"title":"GitHub","version":"7"},"openapi":"3.0.3",` +
		`"paths":{"/a":{"get":{"parameters":[{"$ref":"#/components/parameters/p"}],` +
		`"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/one"}}},"description":""}}}}},"servers":[{"url":"/"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, w := range map[string]wanted{
		"GET /c": {operations: [][2]string{{"get", "/c"}}}, "DELETE /a": {operations: [][2]string{{"delete", "/a"}}},
		"webhook-none": {schemas: []string{"webhook-none"}},
	} {
		if _, err := trim(description, w); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A correction that is needed no more is an error, not a silence.
func TestCorrections(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, whole} {
		var description object
		if err := json.Unmarshal([]byte(text), &description); err != nil {
			t.Fatal(err)
		}
		if err := correctAll(description); err == nil {
			t.Errorf("%.20s has nothing to correct", text)
		}
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"GET /a\n\n# b\nWEBHOOK push\nWEBHOOK check_run created\n": "", "GET a\n": ":1: neither", "# a\nWEBHOOK a b c\n": ":2: neither"} {
		file := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := readWanted(file)
		if want == "" && (err != nil || len(got.operations) != 1 || strings.Join(got.schemas, " ") != "webhook-push webhook-check-run-created") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
