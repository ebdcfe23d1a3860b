package builtin

import "strings"

// role is what a container is to its pod.
type role string

const (
	regular   role = "container"
	sidecar   role = "sidecar container" // an init container that is restarted, and so runs beside the others
	initial   role = "init container"
	ephemeral role = "ephemeral container"
)

// pod is a pod's specification somewhere in an object.
type pod struct {
	fields
	path       string
	containers []container
}

// container is one container of a pod; title is how a message names it.
type container struct {
	fields
	role        role
	path, title string
}

// templates is where objects of any kind keep a pod's specification: workloads
// and what imitates them (Argo Rollouts, Knative Services), CronJobs, and KEDA's
// ScaledJobs.
var templates = [...]string{
	"spec.template.spec",
	"spec.jobTemplate.spec.template.spec",
	"spec.jobTargetRef.template.spec",
}

// podsOf returns every pod specification of the object. At a place where other
// kinds keep other things, only what has containers is one.
func podsOf(o *object) []pod {
	switch {
	case o.is("", "Pod"):
		return []pod{newPod("spec", o.at("spec"))}
	case o.is("", "PodTemplate"):
		return []pod{newPod("template.spec", o.at("template", "spec"))}
	}
	var pods []pod
	for _, path := range templates {
		if p := newPod(path, o.at(strings.Split(path, ".")...)); len(p.containers) > 0 {
			pods = append(pods, p)
		}
	}
	return pods
}

func newPod(path string, spec fields) pod {
	p := pod{fields: spec, path: path}
	for _, from := range [...]struct {
		list string
		role role
	}{{"initContainers", initial}, {"containers", regular}, {"ephemeralContainers", ephemeral}} {
		for i, item := range spec.list(from.list) {
			c := container{fields: asFields(item), role: from.role}
			if c.fields == nil {
				continue
			}
			if c.role == initial && c.text("restartPolicy") == "Always" {
				c.role = sidecar
			}
			name := c.text("name")
			c.path = path + "." + keyed(from.list, "name", name, i)
			c.title = title(string(c.role), name, i)
			p.containers = append(p.containers, c)
		}
	}
	return p
}

// each collects what a test of single containers finds in the object.
func (o *object) each(test func(pod, container) []hit) []hit {
	var hits []hit
	for _, p := range o.pods {
		for _, c := range p.containers {
			hits = append(hits, test(p, c)...)
		}
	}
	return hits
}

// stays reports whether the container runs as long as its pod does.
func (c container) stays() bool { return c.role == regular || c.role == sidecar }
