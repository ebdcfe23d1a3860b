package plan

// Problem is why a target has no plan. Message is a sentence for a pull request; Err,
// if not nil, is for the log.
type Problem struct {
	Code    ProblemCode
	Message string
	Err     error
}

// ProblemCode is the class of a Problem.
type ProblemCode string

// The classes. Only the last is anybody's failure: the others say that a target is
// previewed and not applied.
const (
	Unplaced    ProblemCode = "no-cluster"  // nothing says which cluster it goes to, or it may not go there
	Elsewhere   ProblemCode = "elsewhere"   // it goes to a cluster that was not asked about
	Unavailable ProblemCode = "unavailable" // its cluster can't be worked with
)

func (p *Problem) Error() string { return p.Message }

func (p *Problem) Unwrap() error { return p.Err }
