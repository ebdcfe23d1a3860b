// Package tree says what a revision holds at a path, and what a render read of
// it. It is values only: reading git is the git room's business, and asking
// through a pipe the worker's.
//
// Paths are slash-separated, clean and relative to the repository's root, which
// is ".". A path that leaves the root is never looked up; it is Outside.
package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Mode is what git says an entry is.
type Mode uint32

// The modes that git stores.
const (
	ModeFile       Mode = 0o100644
	ModeExecutable Mode = 0o100755
	ModeLink       Mode = 0o120000
	ModeSubmodule  Mode = 0o160000
)

// Entry is one file, link or submodule of a revision; ID is its object id.
type Entry struct {
	Path string
	Mode Mode
	ID   string
}

// Kind is what is at a path.
type Kind uint8

// The kinds, links followed.
const (
	Absent   Kind = iota
	Dir           // a submodule counts as an empty one: it is not followed
	File          // a regular file
	Outside       // a path or a link that leaves the repository, or a link that never ends
	TooLarge      // a file over the limit, whose content is never read
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"absent", "directory", "file", "outside the repository", "too large"}
	if int(k) >= len(names) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// Fact is what is at Path. Real is the path after links; Data is set only if
// Has is: an empty file has its content, and it is empty.
type Fact struct {
	Path string
	Kind Kind
	Real string
	ID   string // object id of a file; empty across a process boundary
	Has  bool
	Data []byte
}

// Name is one name in a directory and what is there, links followed.
type Name struct {
	Name string
	Kind Kind
}

// Files is one revision's files.
type Files interface {
	// Look says what is at path, with its content if that is wanted. A path with
	// nothing there is no error.
	Look(path string, content bool) (Fact, error)
	// List returns the names in a directory, sorted; of anything else, none.
	List(path string) ([]Name, error)
}

// Use is one question a render asked: what is at Path, or, with Listed, which
// names are in it.
type Use struct {
	Path   string
	Listed bool
}

// Record is what a render read and missed: for each question, a string that is
// equal for two revisions exactly when the answer is. A render of a revision
// for which every answer of the record is the same has the same result. Of a
// render that failed that is the failure: what it did not come to read may differ.
type Record map[Use]string

// Observe answers the questions for one revision.
func Observe(files Files, uses []Use) (Record, error) {
	record := make(Record, len(uses))
	for _, use := range uses {
		answer, err := observe(files, use)
		if err != nil {
			return nil, fmt.Errorf("look at %q: %w", use.Path, err)
		}
		record[use] = answer
	}
	return record, nil
}

func observe(files Files, use Use) (string, error) {
	if use.Listed {
		names, err := files.List(use.Path)
		if err != nil {
			return "", err
		}
		hash := sha256.New()
		for _, n := range names {
			fmt.Fprintf(hash, "%d %s\x00", n.Kind, n.Name)
		}
		return "names " + hex.EncodeToString(hash.Sum(nil)[:16]), nil
	}
	fact, err := files.Look(use.Path, false)
	if err != nil {
		return "", err
	}
	answer := fact.Kind.String()
	if fact.ID != "" {
		answer += " " + fact.ID
	}
	if fact.Real != "" && fact.Real != use.Path {
		answer += " at " + fact.Real
	}
	return answer, nil
}

// Changed returns the paths, sorted, whose answer in files differs from the
// record's.
func (r Record) Changed(files Files) ([]string, error) {
	var changed []string
	for use, was := range r {
		is, err := observe(files, use)
		if err != nil {
			return nil, fmt.Errorf("look at %q: %w", use.Path, err)
		}
		if is != was {
			changed = append(changed, use.Path)
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed), nil
}

// Paths returns the paths of the record, sorted.
func (r Record) Paths() []string {
	paths := make([]string, 0, len(r))
	for use := range r {
		paths = append(paths, use.Path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
