package plan

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/davitops/davit/internal/gitops"
)

// Effect is one thing that applying does, small enough to be approved: a field of an
// object gets a value, or the object as a whole comes or goes (Field is empty then).
// Hash is of the value, keyed, and the same in every plan that has the same effect.
type Effect struct {
	Object gitops.ObjectRef // without a version
	Class  Class
	Field  string
	Hash   string
}

func (e Effect) compare(o Effect) int {
	return cmp.Or(e.Object.Compare(o.Object), strings.Compare(string(e.Class), string(o.Class)),
		strings.Compare(e.Field, o.Field), strings.Compare(e.Hash, o.Hash))
}

func (q Question) effect(c Change, field string, value []byte) Effect {
	mac := hmac.New(sha256.New, q.Key)
	mac.Write(value)
	return Effect{Object: c.Ref.Identity(), Class: c.Class, Field: field, Hash: hex.EncodeToString(mac.Sum(nil))}
}

// Effects are all effects of a plan, sorted.
func (p Plan) Effects() []Effect {
	var effects []Effect
	for _, c := range p.Changes {
		effects = append(effects, c.Effects...)
	}
	slices.SortFunc(effects, Effect.compare)
	return slices.Compact(effects)
}

// Uncovered are the effects of a plan that are not among those that were shown, and that
// git does not explain.
func (p Plan) Uncovered(shown []Effect) []Effect {
	known := make(map[Effect]bool, len(shown))
	for _, e := range shown {
		known[e] = true
	}
	for _, c := range p.Changes {
		for _, e := range c.Explained {
			known[e] = true
		}
	}
	return slices.DeleteFunc(p.Effects(), func(e Effect) bool { return known[e] })
}

// digest is the hash of sorted effects.
func digest(effects []Effect) string {
	sum := sha256.Sum256(encode(effects))
	return hex.EncodeToString(sum[:])
}

// Taken are the fields that are taken over from one manager.
type Taken struct {
	Manager string
	Fields  []string
}

// byManager sorts contested fields by whom they are taken from.
func byManager(contested []Contested) []Taken {
	fields := map[string][]string{}
	for _, c := range contested {
		fields[c.Manager] = append(fields[c.Manager], c.Field)
	}
	var managers []Taken
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		managers = append(managers, Taken{Manager: name, Fields: slices.Sorted(slices.Values(fields[name]))})
	}
	return managers
}

// Count is how many objects a plan has of each class.
func (p Plan) Count() map[Class]int {
	counts := map[Class]int{}
	for _, c := range p.Changes {
		counts[c.Class]++
	}
	return counts
}
