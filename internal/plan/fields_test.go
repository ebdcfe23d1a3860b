package plan

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// seen is an object as a server sends it: fields, and what Davit and another manager
// own of them, in the server's own notation.
func seen(t *testing.T, fields, davit, other string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(fields))
	if err != nil {
		t.Fatal(err)
	}
	object, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	var managers []any
	for manager, owned := range map[string]string{Manager: davit, "other": other} {
		if owned != "" {
			managers = append(managers, map[string]any{"manager": manager, "operation": "Apply", "fieldsV1": json.RawMessage(owned)})
		}
	}
	entry(object, "metadata")["managedFields"] = managers
	if object, err = decode(encode(object)); err != nil {
		t.Fatal(err)
	}
	return object
}

// TestFields compares two states of one object. Each line of want is a field: whose it
// is, what it was and what it will be; shown is what the object is after our fields.
func TestFields(t *testing.T) {
	t.Parallel()
	const (
		image = `{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{}}}}}`
		ports = `{"f:spec":{"f:ports":{"k:{\"port\":53,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:name":{}},"k:{\"port\":53,\"protocol\":\"UDP\"}":{".":{},"f:port":{},"f:name":{}}}}}`
		data  = `{"f:data":{"f:a":{},"f:b":{}}}`
	)
	for _, row := range []struct {
		name                       string
		live, liveOurs, liveOther  string
		after, afterOurs, afterOth string
		want                       []string
		shown                      string
	}{
		{
			name: "a field changes", live: "data: {a: 1, b: 1}", liveOurs: data, after: "data: {a: 2, b: 1}", afterOurs: data,
			want: []string{"ours .data.a: 1 -> 2"}, shown: "data: {a: 2, b: 1}",
		},
		{
			name: "a field comes and one goes", live: "data: {a: 1}", liveOurs: data, after: "data: {b: 1}", afterOurs: data,
			want: []string{"ours .data.a: 1 -> absent", "ours .data.b: absent -> 1"}, shown: "data: {b: 1}",
		},
		{
			name: "a map goes", live: "data: {a: 1, b: 1}", liveOurs: data, after: "x: 1", afterOurs: `{"f:x":{}}`,
			want: []string{`ours .data: {"a":1,"b":1} -> absent`, "ours .x: absent -> 1"}, shown: "x: 1",
		},
		{
			name: "a map becomes empty", live: "data: {a: 1}", liveOurs: data, after: "data: {}", afterOurs: `{"f:data":{}}`,
			want: []string{"ours .data.a: 1 -> absent"}, shown: "data: {}",
		},
		{
			name: "an empty map comes", live: "x: 1", after: "{x: 1, data: {}}", afterOurs: `{"f:data":{}}`,
			want: []string{"ours .data: absent -> {}"}, shown: "{x: 1, data: {}}",
		},
		{
			name: "a null is not nothing", live: "data: {a: null}", liveOurs: data, after: "data: {}", afterOurs: `{"f:data":{}}`,
			want: []string{"ours .data.a: null -> absent"}, shown: "data: {}",
		},
		{
			name: "somebody else's fields are told apart", live: "data: {a: 1, b: 1}", liveOurs: `{"f:data":{"f:a":{}}}`, liveOther: `{"f:data":{"f:b":{}}}`,
			after: "data: {a: 2, b: 2, c: 3}", afterOurs: `{"f:data":{"f:a":{}}}`, afterOth: `{"f:data":{"f:b":{}}}`,
			want: []string{"ours .data.a: 1 -> 2", "foreign .data.b: 1 -> 2", "foreign .data.c: absent -> 3"}, shown: "data: {a: 2, b: 1}",
		},
		{
			name: "a field of two owners is ours", live: "data: {a: 1}", liveOurs: data, liveOther: `{"f:data":{"f:a":{}}}`, after: "data: {a: 2}", afterOurs: data,
			want: []string{"ours .data.a: 1 -> 2"}, shown: "data: {a: 2}",
		},
		{
			name: "what falls back to a default was ours", live: "spec: {replicas: 3}", liveOurs: `{"f:spec":{"f:replicas":{}}}`, after: "spec: {replicas: 1}", afterOurs: `{"f:x":{}}`,
			want: []string{"ours .spec.replicas: 3 -> 1"}, shown: "spec: {replicas: 1}",
		},
		{
			name: "a name with dots", live: "data: {a.b: 1}", liveOurs: `{"f:data":{"f:a.b":{}}}`, after: "data: {a.b: 2}", afterOurs: `{"f:data":{"f:a.b":{}}}`,
			want: []string{`ours .data["a.b"]: 1 -> 2`}, shown: "data: {a.b: 2}",
		},
		{
			name: "an item's field changes", live: "spec: {containers: [{name: side, image: s}, {name: web, image: a}]}", liveOurs: image,
			after: "spec: {containers: [{name: side, image: s}, {name: web, image: b}]}", afterOurs: image,
			want: []string{`ours .spec.containers[name="web"].image: "a" -> "b"`}, shown: "spec: {containers: [{name: side, image: s}, {name: web, image: b}]}",
		},
		{
			name: "an item comes, with defaults", live: "spec: {containers: [{name: side, image: s}]}", liveOther: `{"f:spec":{"f:containers":{"k:{\"name\":\"side\"}":{".":{},"f:name":{},"f:image":{}}}}}`,
			after: "spec: {containers: [{name: side, image: s}, {name: web, image: b, pull: Always}]}", afterOurs: image,
			want: []string{
				`ours .spec.containers[name="web"].image: absent -> "b"`, `ours .spec.containers[name="web"].name: absent -> "web"`,
				`foreign .spec.containers[name="web"].pull: absent -> "Always"`,
			}, shown: "spec: {containers: [{name: side, image: s}, {name: web, image: b}]}",
		},
		{
			name: "an item goes, with its defaults", live: "spec: {containers: [{name: web, image: b, pull: Always}, {name: side}]}", liveOurs: image,
			after: "spec: {containers: [{name: side}]}", afterOurs: image,
			want: []string{`ours .spec.containers[name="web"]: {"image":"b","name":"web","pull":"Always"} -> absent`}, shown: "spec: {containers: [{name: side}]}",
		},
		{
			name: "only the order changes", live: "spec: {containers: [{name: web}, {name: side}]}", liveOurs: image,
			after: "spec: {containers: [{name: side}, {name: web}]}", afterOurs: image,
			want: []string{`ours .spec.containers[order]: [name="side"][name="web"]`}, shown: "spec: {containers: [{name: side}, {name: web}]}",
		},
		{
			name: "an item changes, and the order", live: "spec: {containers: [{name: web, image: a}, {name: side}]}", liveOurs: image,
			after: "spec: {containers: [{name: side}, {name: web, image: b}]}", afterOurs: image,
			want:  []string{`ours .spec.containers[name="web"].image: "a" -> "b"`, `ours .spec.containers[order]: [name="side"][name="web"]`},
			shown: "spec: {containers: [{name: side}, {name: web, image: b}]}",
		},
		{
			name: "an item comes before another", live: "spec: {containers: [{name: side}]}", liveOther: `{"f:spec":{"f:containers":{"k:{\"name\":\"side\"}":{".":{},"f:name":{}}}}}`,
			after: "spec: {containers: [{name: web, image: b}, {name: side}]}", afterOurs: image,
			want: []string{
				`ours .spec.containers[name="web"].image: absent -> "b"`, `ours .spec.containers[name="web"].name: absent -> "web"`,
				`ours .spec.containers[order]: [name="web"][name="side"]`,
			}, shown: "spec: {containers: [{name: web, image: b}, {name: side}]}",
		},
		{
			name: "one port by two protocols", live: "spec: {ports: [{port: 53, protocol: TCP, name: t}, {port: 53, protocol: UDP, name: u}]}", liveOurs: ports,
			after: "spec: {ports: [{port: 53, protocol: TCP, name: t}, {port: 53, protocol: UDP, name: dns}]}", afterOurs: ports,
			want:  []string{`ours .spec.ports[port=53,protocol="UDP"].name: "u" -> "dns"`},
			shown: "spec: {ports: [{port: 53, protocol: TCP, name: t}, {port: 53, protocol: UDP, name: dns}]}",
		},
		{
			name: "items that share their key are one field", live: "spec: {containers: [{name: web, image: a}, {name: web, image: b}]}", liveOurs: image,
			after: "spec: {containers: [{name: web, image: c}]}", afterOurs: image,
			want:  []string{`ours .spec.containers: [{"image":"a","name":"web"},{"image":"b","name":"web"}] -> [{"image":"c","name":"web"}]`},
			shown: "spec: {containers: [{name: web, image: c}]}",
		},
		{
			name: "a set", live: "metadata: {finalizers: [a, b]}", liveOurs: `{"f:metadata":{"f:finalizers":{".":{},"v:\"a\"":{}}}}`,
			after: "metadata: {finalizers: [b, c]}", afterOurs: `{"f:metadata":{"f:finalizers":{".":{},"v:\"c\"":{}}}}`,
			want: []string{`ours .metadata.finalizers[="a"]: "a" -> absent`, `ours .metadata.finalizers[="c"]: absent -> "c"`}, shown: "metadata: {finalizers: [b, c]}",
		},
		{
			name: "an atomic list is one field", live: "spec: {args: [a, b]}", liveOurs: `{"f:spec":{"f:args":{}}}`, after: "spec: {args: [a, c]}", afterOurs: `{"f:spec":{"f:args":{}}}`,
			want: []string{`ours .spec.args: ["a","b"] -> ["a","c"]`}, shown: "spec: {args: [a, c]}",
		},
		{
			name: "an atomic map is one field", live: "spec: {selector: {a: 1, b: 1}}", liveOurs: `{"f:spec":{"f:selector":{}}}`, after: "spec: {selector: {a: 2, b: 1}}", afterOurs: `{"f:spec":{"f:selector":{}}}`,
			want: []string{`ours .spec.selector: {"a":1,"b":1} -> {"a":2,"b":1}`}, shown: "spec: {selector: {a: 2, b: 1}}",
		},
		{
			name: "what servers write is no field", after: "{x: 1, status: {a: 2}, metadata: {generation: 2, resourceVersion: '2', uid: v}}", afterOurs: `{"f:x":{}}`,
			live: "{x: 1, status: {a: 1}, metadata: {generation: 1, uid: u, annotations: {kubectl.kubernetes.io/last-applied-configuration: y}}}", liveOurs: `{"f:x":{}}`,
			shown: "x: 1",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			live, after := seen(t, row.live, row.liveOurs, row.liveOther), seen(t, row.after, row.afterOurs, row.afterOth)
			fields, err := fieldsOf(live, after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var ours []field
			for _, f := range fields {
				owner := "foreign"
				if f.ours {
					owner, ours = "ours", append(ours, f)
				}
				if f.order != nil {
					got = append(got, fmt.Sprintf("%s %s: %s", owner, f.spelled(), f.value()))
					continue
				}
				got = append(got, fmt.Sprintf("%s %s: %s -> %s", owner, spelled(f.path), printed(f.before), printed(f.after)))
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			want, unchanged := clean(seen(t, row.shown, "", "")), string(encode(live))
			if diff := cmp.Diff(string(encode(want)), string(encode(patched(clean(live), ours)))); diff != "" {
				t.Errorf("what is shown (-want +got):\n%s", diff)
			}
			if string(encode(live)) != unchanged {
				t.Error("the object itself was changed")
			}
		})
	}
}

func printed(v any) string {
	if _, gone := v.(absent); gone {
		return "absent"
	}
	return string(encode(v))
}

func TestFieldsOfNonsense(t *testing.T) {
	t.Parallel()
	for _, owned := range []string{`{"k:{":{}}`, `[]`, `1`} {
		if fields, err := fieldsOf(seen(t, "x: 1", owned, ""), seen(t, "x: 2", "", "")); err == nil {
			t.Errorf("%s is read as %v", owned, fields)
		}
	}
}
