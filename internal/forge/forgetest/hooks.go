package forgetest

import (
	"maps"
	"time"

	"github.com/davitops/davit/internal/forge"
	"github.com/davitops/davit/internal/gitops"
)

// Cases on deliveries.
var deliveries = []claim{
	{"a pull request that changes is told", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		changed := func(e gitops.Event) bool { return e.Kind == gitops.Changed && e.Number == n }
		told := s.told(changed)
		if len(told) == 0 || told[0].Repo != s.Repo() || told[0].Actor != s.Person("alice") || told[0].Updated.IsZero() {
			s.Fatalf("it is told as %+v", told)
		}
		for _, change := range []func(){func() { s.Push(n) }, func() { s.Close(n) }} {
			before := len(s.told(changed))
			change()
			if after := len(s.told(changed)); after <= before {
				s.Errorf("it is told %d times, before it was %d", after, before)
			}
		}
	}},
	{"a new comment is told with what it says and who wrote it, and an edited one is not", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		id := s.Comment("bob", n, "/plan ⚓\nplease")
		s.EditComment(id, "/apply")
		s.DeleteComment(id)
		want := gitops.Event{Kind: gitops.Commented, Repo: s.Repo(), Number: n, Actor: s.Person("bob"), Comment: id, Text: "/plan ⚓\nplease"}
		told := s.told(func(e gitops.Event) bool { return e.Kind == gitops.Commented })
		if len(told) == 1 {
			want.Written = told[0].Written // by the forge's clock
		}
		if len(told) != 1 || told[0] != want || want.Written.IsZero() {
			s.Errorf("it is told as %+v, want %+v once", told, want)
		}
	}},
	{"our own comment is told as a bot's", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		s.save(n, "/plan")
		for _, e := range s.told(func(e gitops.Event) bool { return e.Kind == gitops.Commented }) {
			if !e.Actor.Bot {
				s.Errorf("it is told as %+v", e)
			}
		}
	}},
	{"our own push, and our own pull request, are told as a bot's", false, func(s scene) {
		commit := s.PushBranch("davit/revert-1")
		n := s.proposed(forge.Proposal{Repo: s.Repo(), Branch: "davit/revert-1", Base: "main", Title: "Revert"})
		pushed := s.told(func(e gitops.Event) bool { return e.Kind == gitops.Pushed && e.Branch == "davit/revert-1" })
		opened := s.told(func(e gitops.Event) bool { return e.Kind == gitops.Changed && e.Number == n })
		if len(pushed) != 1 || pushed[0].Commit != commit || !pushed[0].Actor.Bot || pushed[0].Repo != s.Repo() {
			s.Errorf("the push is told as %+v", pushed)
		}
		if len(opened) != 1 || !opened[0].Actor.Bot {
			s.Errorf("the pull request is told as %+v", opened)
		}
	}},
	{"a merge is told as a branch that moved", false, func(s scene) {
		n := s.Open(Opening{Author: "alice"})
		base := s.read(n).Base.Branch
		commit := s.Merge(n)
		moved := s.told(func(e gitops.Event) bool { return e.Kind == gitops.Pushed && e.Branch == base && e.Repo == s.Repo() })
		if len(moved) == 0 || moved[len(moved)-1].Commit != commit {
			s.Errorf("%s moved as %+v", base, moved)
		}
	}},
	{"only what the forge has signed, with any of the secrets, is believed", false, believed},
	{"what is nothing to Davit is no event, and what cannot be read is an error", false, func(s scene) {
		if e, err := s.Forge().Event("never_heard_of", []byte("{}")); err != nil || e != (gitops.Event{}) {
			s.Errorf("%+v, %v", e, err)
		}
		s.Comment("bob", s.Open(Opening{Author: "alice"}), "a comment")
		read := 0
		for _, d := range s.Deliveries() {
			kind, e := s.event(d)
			if e.Kind == "" {
				continue
			}
			read++
			for _, body := range [][]byte{d.Body[:len(d.Body)/2], []byte(`"text"`), []byte("<html>"), nil} {
				_, err := s.Forge().Event(kind, body)
				s.class(err, forge.Refused)
			}
		}
		if read < 2 {
			s.Errorf("only %d deliveries are events", read)
		}
	}},
	{"what did not arrive is delivered once more, and only that", false, func(s scene) {
		since := time.Now().Add(-time.Hour)
		s.Open(Opening{Author: "alice"})
		heard := len(s.Deliveries())
		s.Deaf(true)
		n := s.Open(Opening{Author: "alice"})
		s.Deliveries()
		s.Deaf(false)
		if count := s.redeliver(since); count != 0 {
			s.Errorf("%d are asked for that may still be under way", count)
		}
		s.Later(2 * time.Minute)
		if count := s.redeliver(time.Now().Add(time.Hour)); count != 0 {
			s.Errorf("%d are asked for that were before the time", count)
		}
		count := s.redeliver(since)
		if arrived := len(s.Deliveries()) - heard; count == 0 || arrived != count {
			s.Errorf("%d are asked for, and %d arrived", count, arrived)
		}
		if told := s.told(func(e gitops.Event) bool { return e.Kind == gitops.Changed && e.Number == n }); len(told) != 1 {
			s.Errorf("it is told as %+v", told)
		}
		s.Later(2 * time.Minute)
		if count := s.redeliver(since); count != 0 {
			s.Errorf("%d are asked for again", count)
		}
	}},
}

func believed(s scene) {
	s.Open(Opening{Author: "alice"})
	d := s.Deliveries()[0]
	one, other := s.Secrets()
	name, good := s.Signature(one, d.Body)
	_, alsoGood := s.Signature(other, d.Body)
	_, bad := s.Signature("another secret", d.Body)
	_, empty := s.Signature("", d.Body)
	_, ofOther := s.Signature(one, append([]byte(" "), d.Body...))
	for what, c := range map[string]struct {
		signature string
		believed  bool
	}{
		"one secret": {good, true}, "the other secret": {alsoGood, true},
		"another secret": {bad, false}, "no secret": {empty, false}, "another body": {ofOther, false}, "nothing": {"", false},
		"half of one": {good[:len(good)/2], false}, "SHA-1": {"sha1=0123456789abcdef0123456789abcdef01234567", false}, "noise": {"sha256=x", false},
	} {
		forged := Delivery{Header: maps.Clone(d.Header), Body: d.Body}
		forged.Header[name] = c.signature
		id, event, err := s.Forge().Verify(forged.header, forged.Body)
		if c.believed {
			if err != nil || id == "" || event == "" {
				s.Errorf("signed with %s: %q, %q, %v", what, id, event, err)
			}
			continue
		}
		if id != "" || event != "" {
			s.Errorf("signed with %s: %q, %q", what, id, event)
		}
		s.class(err, forge.Forbidden)
	}
	nameless := Delivery{Header: map[string]string{name: good}, Body: d.Body}
	_, _, err := s.Forge().Verify(nameless.header, nameless.Body)
	s.class(err, forge.Refused)
	delete(d.Header, name)
	_, _, err = s.Forge().Verify(d.header, d.Body)
	s.class(err, forge.Forbidden)
}

func (s scene) redeliver(since time.Time) int {
	s.Helper()
	count, err := s.Forge().Redeliver(s.ctx(), since)
	if err != nil {
		s.Fatalf("redeliver: %v", err)
	}
	return count
}

// event reads a delivery that arrived.
func (s scene) event(d Delivery) (kind string, e gitops.Event) {
	s.Helper()
	_, kind, err := s.Forge().Verify(d.header, d.Body)
	if err != nil {
		s.Fatalf("verify a delivery: %v", err)
	}
	if e, err = s.Forge().Event(kind, d.Body); err != nil {
		s.Fatalf("read a delivery: %v", err)
	}
	return kind, e
}

// told are the events of a sort that arrived.
func (s scene) told(is func(gitops.Event) bool) (found []gitops.Event) {
	s.Helper()
	for _, d := range s.Deliveries() {
		if _, e := s.event(d); is(e) {
			found = append(found, e)
		}
	}
	return found
}
