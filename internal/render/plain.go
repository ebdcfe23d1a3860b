package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/davitops/davit/internal/gitops"
	"github.com/davitops/davit/internal/manifest"
	"github.com/davitops/davit/internal/tree"
)

// plain reads the YAML files of one directory, not of those below it, as
// kubectl would: YAML 1.1 and lists expanded.
func plain(files tree.Files, directory string) ([]manifest.Object, error) {
	names, err := files.List(directory)
	if err != nil {
		return nil, err
	}
	var objects []manifest.Object
	seen := map[gitops.ObjectRef]manifest.Origin{}
	for _, name := range names {
		isYAML := strings.HasSuffix(name.Name, ".yaml") || strings.HasSuffix(name.Name, ".yml")
		if !isYAML || strings.HasPrefix(name.Name, ".") || name.Kind == tree.Dir {
			continue
		}
		file := path.Join(directory, name.Name)
		found, err := readPlain(files, file)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if first, twice := seen[o.Ref.Identity()]; twice {
				return nil, &manifest.Problem{Code: manifest.DuplicateID, File: o.Origin.File, Line: o.Origin.Line,
					Message: fmt.Sprintf("%s is defined at %s:%d already; keep one", manifest.Quote(o.Ref.String()), first.File, first.Line)}
			}
			seen[o.Ref.Identity()] = o.Origin
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

func readPlain(files tree.Files, file string) ([]manifest.Object, error) {
	fact, err := files.Look(file, true)
	if err != nil {
		return nil, err
	}
	if fact.Kind != tree.File {
		return nil, absence(fact.Kind, file)
	}
	if problem := manifest.CheckYAML(file, fact.Data); problem != nil {
		// The parser's own words may quote a value.
		problem.Detail = redact(map[string][]byte{file: fact.Data}, problem.Detail)
		return nil, problem
	}
	headers, problem := manifest.Headers(file, fact.Data)
	if problem != nil {
		return nil, problem
	}
	var objects []manifest.Object
	for _, document := range documents(fact.Data) {
		data, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, &manifest.Problem{Code: manifest.Syntax, File: file, Line: 1, Message: "this is not valid YAML"}
		}
		if string(data) == "null" {
			continue
		}
		header := manifest.Header{Line: 1}
		if len(headers) > 0 {
			header, headers = headers[0], headers[1:]
		}
		found, problem := expand(data, header)
		if problem != nil {
			return nil, problem.At(file)
		}
		for i := range found {
			found[i].Origin.File = file
		}
		objects = append(objects, found...)
	}
	return objects, nil
}

// documents splits a stream where a line begins with three dashes, which YAML
// allows nowhere else.
func documents(data []byte) [][]byte {
	var split [][]byte
	begin := 0
	for at := 0; at < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if line := data[at:end]; at > begin && bytes.HasPrefix(line, []byte("---")) && (len(line) == 3 || strings.ContainsRune(" \t\r\n", rune(line[3]))) {
			split = append(split, data[begin:at])
			begin = at
		}
		at = end
	}
	return append(split, data[begin:])
}

// expand turns one document into its objects: itself, or the items of a list.
func expand(data []byte, header manifest.Header) ([]manifest.Object, *manifest.Problem) {
	origin := manifest.Origin{Line: header.Line}
	notAnObject := &manifest.Problem{Code: manifest.NotAnObject, Line: header.Line,
		Message: "this is not a Kubernetes object: it needs apiVersion, kind and metadata.name"}
	// A map, because the fields of a struct would match keys in other cases too.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, notAnObject
	}
	items := []json.RawMessage{data}
	isList := fields["items"] != nil && strings.HasSuffix(header.Kind, "List")
	if isList {
		if err := json.Unmarshal(fields["items"], &items); err != nil {
			return nil, notAnObject
		}
	}
	objects := make([]manifest.Object, 0, len(items))
	for _, item := range items {
		object, err := manifest.Decode(item)
		switch {
		case err != nil || object.Ref.Version == "" || object.Ref.Kind == "":
			return nil, notAnObject
		case isList && strings.HasSuffix(object.Ref.Kind, "List"):
			nested, problem := expand(item, manifest.Header{Kind: object.Ref.Kind, Line: header.Line})
			if problem != nil {
				return nil, problem
			}
			objects = append(objects, nested...)
			continue
		case object.Ref.Name == "":
			return nil, notAnObject
		}
		object.Origin = origin
		objects = append(objects, object)
	}
	return objects, nil
}

// absence says why a path that must be a file is none.
func absence(kind tree.Kind, file string) *manifest.Problem {
	problem := &manifest.Problem{File: file, Line: 1}
	switch kind {
	case tree.Outside:
		problem.Code, problem.Message = manifest.Outside, "this link leads out of the repository; use a path inside it"
	case tree.TooLarge:
		problem.Code, problem.Message = manifest.TooLarge, "this file is too large to read"
	default:
		problem.Code, problem.Message = manifest.Missing, "this link leads to no file"
	}
	return problem
}
