package main

import (
	"errors"
	"fmt"
	"strings"
)

// correction is one place where the description is wrong of GitHub. It is an error
// when the place has changed, for then it may be right.
type correction struct {
	at      []string
	correct func(object) bool // reports whether the place was as expected
}

var corrections = []correction{
	// An account of an installation is a person, an organisation or an enterprise,
	// and not all of them at once; the schema "installation" has it right.
	{
		[]string{"paths", "/app/installations", "get", "responses", "200", "content", "application/json", "schema", "items", "properties", "account"},
		func(schema object) bool {
			all, is := schema["allOf"]
			schema["anyOf"] = all
			delete(schema, "allOf")
			return is
		},
	},
	// A label without a description has null; the schema "pull-request" has it right.
	{
		[]string{"components", "schemas", "pull-request-simple", "properties", "labels", "items", "properties", "description"},
		func(schema object) bool {
			before := schema["nullable"]
			schema["nullable"] = true
			return before == nil && schema["type"] == "string"
		},
	},
	// Labels may be a list alone, which is what clients have always sent.
	{
		[]string{"paths", "/repos/{owner}/{repo}/issues/{issue_number}/labels", "post", "requestBody", "content", "application/json", "schema"},
		func(schema object) bool {
			forms, _ := schema["oneOf"].([]any)
			schema["oneOf"] = append(forms, object{"type": "array", "minItems": 1, "items": object{"type": "string"}})
			return len(forms) == 1
		},
	},
}

func correctAll(description object) error {
	for _, wrong := range corrections {
		var place any = description
		for _, name := range wrong.at {
			inside, is := place.(object)
			if !is {
				return errors.New("the description has no " + strings.Join(wrong.at, " "))
			}
			place = inside[name]
		}
		schema, is := place.(object)
		if !is || !wrong.correct(schema) {
			return fmt.Errorf("the description has changed at %s: see whether it still needs correcting", strings.Join(wrong.at, " "))
		}
	}
	return nil
}
