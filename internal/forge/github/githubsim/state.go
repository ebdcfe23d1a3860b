package githubsim

import (
	"slices"
	"strings"
	"time"
)

// Roles of a person in a repository, from least to most.
var roles = []string{"none", "read", "triage", "write", "maintain", "admin"}

// atLeast reports whether a role includes another.
func atLeast(role, needed string) bool {
	return slices.Index(roles, role) >= slices.Index(roles, needed)
}

// account is a person, an organisation, or the App's bot.
type account struct {
	id      int64
	login   string
	name    string
	kind    string // User, Organization or Bot
	members map[string]string
	teams   map[string][]string
	created time.Time
}

type app struct {
	id          int64
	slug, name  string
	bot         *account
	owner       *account
	permissions map[string]string
	events      []string
	created     time.Time
}

type installation struct {
	id          int64
	account     *account
	all         bool
	repos       []*repository // unless all
	suspended   *time.Time
	permissions map[string]string
	created     time.Time
}

// token is a credential that GitHub issued to an installation.
type token struct {
	installation *installation
	permissions  map[string]string
	repos        []*repository // nil: all of the installation
	expires      time.Time
}

type repository struct {
	id            int64
	owner         *account
	name          string
	private       bool
	defaultBranch string
	collaborators map[string]string // login, or ORG/TEAM, to role
	parent        *repository
	git           bare
	refs          map[string]string // as they were when last looked at
	created       time.Time
	pushed        time.Time

	lastNumber  int // of a pull request or an issue
	pulls       []*pull
	issues      []*issue
	comments    []*comment
	remarks     []*remark
	labels      []*label
	suites      map[string]int64 // by commit
	checks      []*checkRun
	statuses    []*status
	deployments []*deployment
}

func (r *repository) fullName() string { return r.owner.login + "/" + r.name }

// side is the head of a pull request.
type side struct {
	repo     *repository
	ref, sha string
}

type pull struct {
	id       int64
	number   int
	repo     *repository
	author   *account
	title    string
	body     *string
	draft    bool
	closed   *time.Time
	merged   *time.Time
	mergedBy *account
	mergeSHA string // what the merge made; before it, the test merge
	brought  span   // the commits that the merge put on the base
	head     side
	baseRef  string
	baseSHA  string
	created  time.Time
	updated  time.Time
	labels   []*label
	reviews  []*review
	tested   testMerge
	size     changeSize
	modify   bool // by maintainers, of a fork's branch
}

func (p *pull) state() string {
	if p.closed != nil {
		return "closed"
	}
	return "open"
}

// span are the commits that to has and from has not.
type span struct{ from, to string }

func (s span) contains(sha string, in bare) bool {
	return s.to != "" && in.contains(s.to, sha) && !in.contains(s.from, sha)
}

// testMerge is what GitHub knows of whether a pull request can be merged.
type testMerge struct {
	base, head string // what it was asked of
	known      bool
	clean      bool
}

// changeSize is how much a pull request changes, between two commits.
type changeSize struct {
	base, head                     string
	commits, added, deleted, files int
}

type comment struct {
	id        int64
	pull      *pull
	author    *account
	byApp     bool
	body      string
	created   time.Time
	updated   time.Time
	edited    bool
	reactions []*reaction
}

// remark is a comment on a commit.
type remark struct {
	id      int64
	sha     string
	author  *account
	body    string
	created time.Time
	updated time.Time
}

// issue is one that is no pull request.
type issue struct {
	id      int64
	number  int
	author  *account
	byApp   bool
	title   string
	body    *string
	closed  *time.Time
	created time.Time
	updated time.Time
}

func (i *issue) state() string {
	if i.closed != nil {
		return "closed"
	}
	return "open"
}

type reaction struct {
	id      int64
	user    *account
	content string
	created time.Time
}

type review struct {
	id        int64
	author    *account
	body      string
	state     string // in upper case
	commit    string
	submitted time.Time
}

type label struct {
	id    int64
	name  string
	color string
}

type checkRun struct {
	id          int64
	suite       int64
	head        string
	name        string
	status      string
	conclusion  *string
	externalID  string
	detailsURL  string
	started     *time.Time
	completed   *time.Time
	title       *string
	summary     *string
	text        *string
	annotations []annotation
	actions     []checkAction
}

type annotation struct {
	Path        string `json:"path"`
	StartLine   int    `json:"start_line"`
	EndLine     int    `json:"end_line"`
	StartColumn *int   `json:"start_column"`
	EndColumn   *int   `json:"end_column"`
	Level       string `json:"annotation_level"`
	Message     string `json:"message"`
	Title       string `json:"title"`
	RawDetails  string `json:"raw_details"`
}

type checkAction struct {
	Label       string `json:"label"`
	Description string `json:"description"`
	Identifier  string `json:"identifier"`
}

type status struct {
	id          int64
	sha         string
	creator     *account
	state       string
	context     string
	description *string
	targetURL   *string
	created     time.Time
}

type deployment struct {
	id          int64
	sha, ref    string
	task        string
	environment string
	description *string
	payload     any
	transient   bool
	production  bool
	creator     *account
	byApp       bool
	created     time.Time
	updated     time.Time
	statuses    []*deploymentStatus
}

type deploymentStatus struct {
	id             int64
	state          string
	creator        *account
	byApp          bool
	description    string
	logURL         string
	environmentURL string
	environment    string
	created        time.Time
}

func (s *Sim) account(login string) *account { return s.accounts[strings.ToLower(login)] }

func (s *Sim) repo(owner, name string) *repository {
	return s.repos[strings.ToLower(owner+"/"+name)]
}

// role is what a person may do in a repository.
func (s *Sim) role(who *account, r *repository) string {
	best := "none"
	if !r.private {
		best = "read"
	}
	raise := func(role string) {
		if atLeast(role, best) {
			best = role
		}
	}
	if who == r.owner {
		return "admin"
	}
	switch r.owner.members[who.login] {
	case "owner":
		return "admin"
	case "member":
		raise("read")
	}
	for name, role := range r.collaborators {
		if strings.EqualFold(name, who.login) || slices.Contains(s.team(name), who.login) {
			raise(role)
		}
	}
	return best
}

// team is who belongs to ORG/TEAM.
func (s *Sim) team(name string) []string {
	org, team, is := strings.Cut(name, "/")
	if owner := s.account(org); is && owner != nil {
		return owner.teams[team]
	}
	return nil
}

// installation is the one that a repository belongs to, or nil.
func (s *Sim) installation(r *repository) *installation {
	for _, i := range s.installed {
		if i.account == r.owner && (i.all || slices.Contains(i.repos, r)) {
			return i
		}
	}
	return nil
}

// reach are the repositories that a token or, for nil, the whole of an
// installation may see.
func (s *Sim) reach(i *installation) []*repository {
	var reached []*repository
	for _, r := range s.repoOrder {
		if s.installation(r) == i {
			reached = append(reached, r)
		}
	}
	return reached
}

func (r *repository) pull(number int) *pull {
	for _, p := range r.pulls {
		if p.number == number {
			return p
		}
	}
	return nil
}

func (r *repository) issue(number int) *issue {
	for _, i := range r.issues {
		if i.number == number {
			return i
		}
	}
	return nil
}

// conversation are the comments of one pull request, oldest first.
func (r *repository) conversation(p *pull) []*comment {
	var found []*comment
	for _, c := range r.comments {
		if c.pull == p {
			found = append(found, c)
		}
	}
	return found
}

// remarksOn are the comments on a commit, oldest first.
func (r *repository) remarksOn(sha string) []*remark {
	var found []*remark
	for _, k := range r.remarks {
		if k.sha == sha {
			found = append(found, k)
		}
	}
	return found
}

// statusesOf are the statuses of a commit, newest first.
func (r *repository) statusesOf(sha string) []*status {
	var found []*status
	for _, st := range slices.Backward(r.statuses) {
		if st.sha == sha {
			found = append(found, st)
		}
	}
	return found
}
