package builtin

import (
	"fmt"
	"strings"

	"github.com/davitops/davit/internal/manifest"
)

func privileged(o *object) []hit {
	return o.each(func(_ pod, c container) []hit {
		if is, _ := c.at("securityContext").truth("privileged"); !is {
			return nil
		}
		return []hit{{subject: c.path + ".securityContext.privileged", what: c.title + " runs privileged"}}
	})
}

func latestTag(o *object) []hit {
	return o.each(func(_ pod, c container) []hit {
		image := c.text("image")
		what := ""
		switch tag, pinned := tagOf(image); {
		case image == "" || pinned || placeholder(image):
			return nil
		case tag == "":
			what = "has no tag"
		case tag == "latest":
			what = "has the tag latest"
		default:
			return nil
		}
		return []hit{{subject: c.path + ".image", what: fmt.Sprintf("image %s of %s %s", manifest.Quote(image), c.title, what)}}
	})
}

// tagOf returns an image's tag, and whether a digest makes it irrelevant.
func tagOf(image string) (tag string, pinned bool) {
	if strings.Contains(image, "@") {
		return "", true
	}
	// A colon before the last slash is the registry's port.
	_, tag, _ = strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return tag, false
}

// unsetResources leaves out init containers, which run before the others and
// share what those get, and ephemeral ones, which may have no resources. What
// the pod as a whole is given counts for each; a limit without a request is its
// own request.
func unsetResources(o *object) []hit {
	return o.each(func(p pod, c container) []hit {
		if !c.stays() {
			return nil
		}
		var missing []string
		given := func(list, name string) bool {
			return c.at("resources", list).has(name) || p.at("resources", list).has(name)
		}
		for _, resource := range [...]struct{ name, title string }{{"cpu", "CPU"}, {"memory", "memory"}} {
			if !given("requests", resource.name) && !given("limits", resource.name) {
				missing = append(missing, "no "+resource.title+" request")
			}
		}
		if !given("limits", "memory") {
			missing = append(missing, "no memory limit")
		}
		if len(missing) == 0 {
			return nil
		}
		return []hit{{subject: c.path + ".resources", what: c.title + " sets " + enumerate(missing)}}
	})
}

// enumerate joins words as a sentence does.
func enumerate(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// noReadinessProbe looks at what serves for long. Jobs and bare pods are left
// out: nothing rolls them out.
func noReadinessProbe(o *object) []hit {
	switch {
	case o.is("apps", "Deployment"), o.is("apps", "StatefulSet"), o.is("apps", "DaemonSet"), o.is("argoproj.io", "Rollout"):
	default:
		return nil
	}
	return o.each(func(_ pod, c container) []hit {
		if !c.stays() || len(c.list("ports")) == 0 || c.has("readinessProbe") {
			return nil
		}
		return []hit{{subject: c.path + ".readinessProbe", what: c.title + " has ports and no readiness probe"}}
	})
}

// runAsRoot reads the security context as the kubelet does: what the container
// says goes before what its pod says.
func runAsRoot(o *object) []hit {
	return o.each(func(p pod, c container) []hit {
		own, shared := c.at("securityContext"), p.at("securityContext")
		user, named := own.integer("runAsUser")
		if !named {
			user, named = shared.integer("runAsUser")
		}
		nonRoot, set := own.truth("runAsNonRoot")
		if !set {
			nonRoot, _ = shared.truth("runAsNonRoot")
		}
		what := " may run as root"
		switch {
		case named && user == 0:
			what = " runs as root: its runAsUser is 0"
		case named || nonRoot:
			return nil
		}
		return []hit{{subject: c.path + ".securityContext.runAsNonRoot", what: c.title + what}}
	})
}

func hostAccess(o *object) []hit {
	var hits []hit
	for _, p := range o.pods {
		for _, of := range [...]struct{ field, what string }{
			{"hostNetwork", "network"}, {"hostPID", "processes"}, {"hostIPC", "interprocess communication"},
		} {
			if is, _ := p.truth(of.field); is {
				hits = append(hits, hit{subject: p.path + "." + of.field,
					what: fmt.Sprintf("the pod shares its node's %s (%s)", of.what, of.field)})
			}
		}
		for i, item := range p.list("volumes") {
			volume := asFields(item)
			if !volume.has("hostPath") {
				continue
			}
			hits = append(hits, hit{
				subject: p.path + "." + keyed("volumes", "name", volume.text("name"), i) + ".hostPath",
				what: fmt.Sprintf("%s mounts %s of the node (hostPath)",
					title("volume", volume.text("name"), i), manifest.Quote(volume.at("hostPath").text("path"))),
			})
		}
	}
	return hits
}
