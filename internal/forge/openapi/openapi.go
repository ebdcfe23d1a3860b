// Package openapi holds HTTP exchanges and webhook bodies to a forge's OpenAPI
// description and remembers what did not keep to it. It is for tests and
// simulators alone: it never changes, delays or refuses an exchange, and it
// never stands in front of a real forge.
package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

//go:generate go run ./trim ../../../testdata/openapi/github.operations ../../../testdata/openapi/github.json

// Description is an OpenAPI description with what it has seen so far. Its methods
// may be called at the same time.
type Description struct {
	schemas openapi3.Schemas
	router  routers.Router
	options *openapi3filter.Options

	mu         sync.Mutex
	violations []string
	counts     map[string]int
}

// Load reads a description. It is not validated as a whole: GitHub's has paths
// that conflict for a validator and for no client.
func Load(file string) (*Description, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI description: %w", err)
	}
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI description %s: %w", file, err)
	}
	document.Servers = openapi3.Servers{{URL: "/"}}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		return nil, fmt.Errorf("route the OpenAPI description %s: %w", file, err)
	}
	options := &openapi3filter.Options{
		AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
		SkipSettingDefaults: true,
		MultiError:          true,
	}
	options.WithCustomSchemaErrorFunc(short)
	d := &Description{router: router, options: options, counts: map[string]int{}}
	if document.Components != nil {
		d.schemas = document.Components.Schemas
	}
	return d, nil
}

// short leaves out the schema and the value, which may be pages.
func short(err *openapi3.SchemaError) string {
	return "/" + strings.Join(err.JSONPointer(), "/") + ": " + err.Reason
}

// Blank is the same description, which has seen nothing: reading one is slow.
func (d *Description) Blank() *Description {
	return &Description{schemas: d.schemas, router: d.router, options: d.options, counts: map[string]int{}}
}

// Violations are what did not keep to the description, in the order it was seen.
func (d *Description) Violations() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.violations...)
}

// Counts says how often each operation was checked, by direction: "request GET
// /app", "response 200 GET /app", "webhook push".
func (d *Description) Counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.counts)
}

func (d *Description) count(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[what]++
}

func (d *Description) violated(where string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.violations = append(d.violations, where+": "+strings.Join(strings.Fields(err.Error()), " "))
}

// Webhook checks the body of a webhook; the action is empty for an event that has
// none. What it returns is recorded as well.
func (d *Description) Webhook(event, action string, body []byte) error {
	name := "webhook-" + event
	if action != "" {
		name += "-" + action
	}
	where := "webhook " + strings.TrimSpace(event+" "+action)
	d.count(where)
	err := d.checkWebhook(strings.ReplaceAll(name, "_", "-"), body)
	if err != nil {
		d.violated(where, err)
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

func (d *Description) checkWebhook(name string, body []byte) error {
	schema := d.schemas[name]
	if schema == nil || schema.Value == nil {
		return fmt.Errorf("the description has no schema %s", name)
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return schema.Value.VisitJSON(value, openapi3.MultiErrors(), openapi3.SetSchemaErrorMessageCustomizer(short))
}

// Handler answers as next does, and checks every exchange: what came and what was
// answered. A path may begin with one of the prefixes, as "/api/v3"; without one
// it is taken as it is.
func (d *Description) Handler(next http.Handler, prefixes ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "the request's body ended early", http.StatusBadRequest)
			return
		}
		input, found := d.request(r, body, prefixes)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := &recorder{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		if found {
			d.response(input, answer)
		}
		maps.Copy(w.Header(), answer.header)
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes()) // whoever went away needs no answer
	})
}

// request checks what came, and says what the answer is to be checked with.
func (d *Description) request(r *http.Request, body []byte, prefixes []string) (*openapi3filter.RequestValidationInput, bool) {
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(body))
	asked.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	for _, prefix := range prefixes {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			asked.URL.Path = strings.TrimPrefix(r.URL.Path, prefix)
			asked.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, prefix)
			break
		}
	}
	route, parameters, err := d.router.FindRoute(asked)
	if err != nil {
		d.violated("request "+r.Method+" "+asked.URL.Path, errors.New("the description has no such operation"))
		return nil, false
	}
	// GitHub reads a body as JSON when its type is left out, or is what curl says of
	// every body.
	if kind := asked.Header.Get("Content-Type"); len(body) > 0 && (kind == "" || kind == "application/x-www-form-urlencoded") {
		asked.Header.Set("Content-Type", "application/json")
	}
	// A client that need not say anything may say null, as the one does that gets
	// tokens for installations.
	optional := route.Operation.RequestBody == nil || !route.Operation.RequestBody.Value.Required
	if optional && string(bytes.TrimSpace(body)) == "null" {
		asked.Body, asked.ContentLength = http.NoBody, 0
	}
	input := &openapi3filter.RequestValidationInput{Request: asked, PathParams: parameters, Route: route, Options: d.options}
	where := "request " + r.Method + " " + route.Path
	d.count(where)
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
		d.violated(where, err)
	}
	return input, true
}

// response checks an answer. GitHub describes its successes in full, and its
// errors only here and there.
func (d *Description) response(input *openapi3filter.RequestValidationInput, answer *recorder) {
	where := fmt.Sprintf("response %d %s %s", answer.status, input.Route.Method, input.Route.Path)
	d.count(where)
	options := *d.options
	options.IncludeResponseStatus = answer.status < http.StatusBadRequest
	err := openapi3filter.ValidateResponse(input.Request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 answer.status,
		Header:                 answer.header,
		Body:                   io.NopCloser(bytes.NewReader(answer.body.Bytes())),
		Options:                &options,
	})
	if err != nil {
		d.violated(where, err)
	}
}

// recorder keeps an answer until it has been checked.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
}

func (r *recorder) Write(data []byte) (int, error) {
	r.wrote = true
	return r.body.Write(data)
}
