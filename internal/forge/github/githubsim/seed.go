package githubsim

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// seed is what seed.yaml says; the package's comment has an example.
type seed struct {
	App           seedApp            `yaml:"app"`
	Users         []seedUser         `yaml:"users"`
	Organisations []seedOrganisation `yaml:"organisations"`
	Repositories  []seedRepository   `yaml:"repositories"`
	Installations []seedInstallation `yaml:"installations"`

	file string
}

type seedApp struct {
	Slug        string            `yaml:"slug"`
	Name        string            `yaml:"name"`
	Owner       string            `yaml:"owner"`
	Permissions map[string]string `yaml:"permissions"`
	Events      []string          `yaml:"events"`
}

type seedUser struct {
	Login text   `yaml:"login"`
	Name  string `yaml:"name"`
	Type  text   `yaml:"type"`
}

type seedOrganisation struct {
	Login   text              `yaml:"login"`
	Name    string            `yaml:"name"`
	Members map[string]text   `yaml:"members"`
	Teams   map[string][]text `yaml:"teams"`
}

type seedRepository struct {
	Name          text              `yaml:"name"`
	Private       bool              `yaml:"private"`
	DefaultBranch string            `yaml:"default_branch"`
	Collaborators map[string]text   `yaml:"collaborators"`
	ForkOf        text              `yaml:"fork_of"`
	Files         map[string]string `yaml:"files"`
	From          text              `yaml:"from"`
}

type seedInstallation struct {
	Account      text              `yaml:"account"`
	Repositories reachText         `yaml:"repositories"`
	Suspended    bool              `yaml:"suspended"`
	Permissions  map[string]string `yaml:"permissions"`
}

// text is a string that knows its line.
type text struct {
	value string
	line  int
}

func (t *text) UnmarshalYAML(node *yaml.Node) error {
	t.line = node.Line
	return node.Decode(&t.value)
}

// reachText is "all" or a list of names.
type reachText struct {
	all   bool
	names []text
}

func (r *reachText) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Value == "all" {
		r.all = true
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf("line %d: repositories is neither all nor a list; write `repositories: all`", node.Line)
	}
	return node.Decode(&r.names)
}

// SeedError is a mistake in seed.yaml: where it is, what it is, and what to write.
type SeedError struct {
	File   string
	Line   int // 0 when the mistake has no line of its own
	Says   string
	Remedy string
}

func (e *SeedError) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return "read the seed: " + where + ": " + e.Says + "; " + e.Remedy
}

func readSeed(file string) (*seed, error) {
	opened, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &SeedError{File: file, Says: "there is no such file", Remedy: "write one with app, users, repositories and installations"}
	}
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	defer opened.Close()
	decoder := yaml.NewDecoder(opened)
	decoder.KnownFields(true)
	planted := &seed{file: file}
	if err := decoder.Decode(planted); err != nil && !errors.Is(err, io.EOF) {
		says := err.Error()
		var fields *yaml.TypeError
		if errors.As(err, &fields) {
			says = strings.Join(fields.Errors, ", ")
		}
		return nil, &SeedError{File: file, Says: says, Remedy: "see the example in the package's documentation"}
	}
	if planted.App.Slug == "" {
		return nil, &SeedError{File: file, Says: "the App has no slug", Remedy: "write `app: {slug: davit}`"}
	}
	return planted, nil
}

func (p *seed) wrong(at text, remedy, says string, args ...any) error {
	return &SeedError{File: p.file, Line: at.line, Says: fmt.Sprintf(says, args...), Remedy: remedy}
}

// Defaults of an App that does not say what it asks for.
var (
	usualPermissions = map[string]string{
		"metadata": "read", "contents": "write", "pull_requests": "write", "checks": "write",
		"statuses": "write", "deployments": "write", "issues": "write", "members": "read",
	}
	usualEvents = []string{"check_run", "issue_comment", "pull_request", "pull_request_review", "push"}
)

// plant makes what the seed says, in its order, so that numbers stay the same.
func (s *Sim) plant(p *seed) error {
	for _, plant := range []func(*seed) error{s.plantUsers, s.plantOrganisations, s.plantApp, s.plantRepositories, s.plantInstallations} {
		if err := plant(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sim) add(p *seed, login text, name, kind string) (*account, error) {
	plain := strings.ToLower(login.value)
	if kind == "Bot" {
		plain = strings.TrimSuffix(plain, "[bot]")
	}
	if plain == "" || strings.Trim(plain, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, p.wrong(login, "write letters, digits and dashes", "%q is not a login", login.value)
	}
	if s.account(login.value) != nil {
		return nil, p.wrong(login, "say each once", "%s is there twice", login.value)
	}
	a := &account{id: s.id(), login: login.value, name: name, kind: kind, created: s.now()}
	s.accounts[strings.ToLower(a.login)] = a
	return a, nil
}

func (s *Sim) plantUsers(p *seed) error {
	for _, u := range p.Users {
		kind := u.Type.value
		if kind == "" {
			kind = "User"
		}
		if kind != "User" && kind != "Bot" {
			return p.wrong(u.Type, "write User or Bot", "%q is not a type of user", kind)
		}
		if _, err := s.add(p, u.Login, u.Name, kind); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sim) plantOrganisations(p *seed) error {
	for _, o := range p.Organisations {
		org, err := s.add(p, o.Login, o.Name, "Organization")
		if err != nil {
			return err
		}
		org.members, org.teams = map[string]string{}, map[string][]string{}
		for login, role := range o.Members {
			if s.account(login) == nil {
				return p.wrong(role, "add it to users", "%s has the member %s, who is no user", org.login, login)
			}
			if role.value != "owner" && role.value != "member" {
				return p.wrong(role, "write owner or member", "%q is not a role in an organisation", role.value)
			}
			org.members[s.account(login).login] = role.value
		}
		for team, members := range o.Teams {
			for _, login := range members {
				member := s.account(login.value)
				if member == nil || org.members[member.login] == "" {
					return p.wrong(login, "add it to members", "the team %s has %s, who is no member of %s", team, login.value, org.login)
				}
				org.teams[team] = append(org.teams[team], member.login)
			}
		}
	}
	return nil
}

func (s *Sim) plantApp(p *seed) error {
	bot := &account{id: s.id(), login: p.App.Slug + "[bot]", name: p.App.Name, kind: "Bot", created: s.now()}
	s.accounts[strings.ToLower(bot.login)] = bot
	s.app = app{
		id: s.options.AppID, slug: p.App.Slug, name: p.App.Name, bot: bot, permissions: p.App.Permissions,
		events: p.App.Events, created: s.now(), owner: s.account(p.App.Owner),
	}
	if s.app.name == "" {
		s.app.name = s.app.slug
	}
	if s.app.permissions == nil {
		s.app.permissions = usualPermissions
	}
	if s.app.events == nil {
		s.app.events = usualEvents
	}
	for _, list := range [][]text{organisationLogins(p), userLogins(p)} {
		if s.app.owner == nil && len(list) > 0 {
			s.app.owner = s.account(list[0].value)
		}
	}
	if s.app.owner == nil {
		return &SeedError{File: p.file, Says: "nobody owns the App", Remedy: "add a user, and name it with `app: {owner: LOGIN}`"}
	}
	return nil
}

func organisationLogins(p *seed) []text {
	var logins []text
	for _, o := range p.Organisations {
		logins = append(logins, o.Login)
	}
	return logins
}

func userLogins(p *seed) []text {
	var logins []text
	for _, u := range p.Users {
		logins = append(logins, u.Login)
	}
	return logins
}

func (s *Sim) plantInstallations(p *seed) error {
	for _, i := range p.Installations {
		owner := s.account(i.Account.value)
		if owner == nil {
			return p.wrong(i.Account, "add it to users or organisations", "an installation is on %q, which is nobody's", i.Account.value)
		}
		made := &installation{id: s.id(), account: owner, all: i.Repositories.all, permissions: i.Permissions, created: s.now()}
		if made.permissions == nil {
			made.permissions = s.app.permissions
		}
		for _, name := range i.Repositories.names {
			r := s.repos[strings.ToLower(name.value)]
			if r == nil || r.owner != owner {
				return p.wrong(name, "name repositories of "+owner.login+" in full", "the installation on %s has %q", owner.login, name.value)
			}
			made.repos = append(made.repos, r)
		}
		if i.Suspended {
			at := s.now()
			made.suspended = &at
		}
		s.installed = append(s.installed, made)
	}
	return nil
}

func (s *Sim) plantRepositories(p *seed) error {
	for _, line := range p.Repositories {
		owner, name, full := strings.Cut(line.Name.value, "/")
		if !full || s.account(owner) == nil || name == "" || strings.ContainsAny(name, "/ ") || strings.HasPrefix(name, ".") {
			return p.wrong(line.Name, "write OWNER/NAME, with the owner in users or organisations", "%q is not a repository's name", line.Name.value)
		}
		if s.repo(owner, name) != nil {
			return p.wrong(line.Name, "say each once", "%s is there twice", line.Name.value)
		}
		r := &repository{
			id: s.id(), owner: s.account(owner), name: name, private: line.Private, defaultBranch: line.DefaultBranch,
			collaborators: map[string]string{}, suites: map[string]int64{}, created: s.now(), pushed: s.now(),
		}
		if r.defaultBranch == "" {
			r.defaultBranch = "main"
		}
		if err := s.plantCollaborators(p, line, r); err != nil {
			return err
		}
		if err := s.plantGit(p, line, r); err != nil {
			return err
		}
		s.repos[strings.ToLower(r.fullName())] = r
		s.repoOrder = append(s.repoOrder, r)
	}
	return nil
}

func (s *Sim) plantCollaborators(p *seed, line seedRepository, r *repository) error {
	for who, role := range line.Collaborators {
		if s.account(who) == nil && s.team(who) == nil {
			return p.wrong(role, "add it to users, or write ORGANISATION/TEAM", "%s has the collaborator %s, who is nobody", line.Name.value, who)
		}
		if !slices.Contains(roles[1:], role.value) {
			return p.wrong(role, "write one of "+strings.Join(roles[1:], ", "), "%q is not a role", role.value)
		}
		r.collaborators[who] = role.value
	}
	return nil
}

func (s *Sim) plantGit(p *seed, line seedRepository, r *repository) error {
	r.git = bare{program: s.git, dir: filepath.Join(s.reposDir(), r.owner.login, r.name+".git")}
	if err := r.git.init(r.defaultBranch); err != nil {
		return err
	}
	files := line.Files
	switch {
	case line.ForkOf.value != "":
		r.parent = s.repos[strings.ToLower(line.ForkOf.value)]
		if r.parent == nil || files != nil || line.From.value != "" {
			return p.wrong(line.ForkOf, "name a repository above it, without files and from", "%s is no fork of %q", line.Name.value, line.ForkOf.value)
		}
		if _, err := r.git.run("fetch", "--quiet", r.parent.git.dir, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"); err != nil {
			return err
		}
	case line.From.value != "":
		dir := line.From.value
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.options.Dir, dir)
		}
		read, err := readFiles(dir)
		if err != nil {
			return p.wrong(line.From, "name a directory, from that of the seed", "%s", err.Error())
		}
		files = read
	}
	if len(files) > 0 {
		if err := s.firstCommit(r, files); err != nil {
			return err
		}
	}
	var err error
	r.refs, err = r.git.refs()
	return err
}

// firstCommit is dated long ago, so that the same seed gives the same commits.
func (s *Sim) firstCommit(r *repository, files map[string]string) error {
	tree, err := r.git.fileTree(files)
	if err != nil {
		return err
	}
	long := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	mail := r.owner.login + "@users.noreply.localhost"
	who := append(signature("AUTHOR", r.owner.login, mail, long), signature("COMMITTER", r.owner.login, mail, long)...)
	sha, err := r.git.commitTree(tree, "The first commit", who)
	if err != nil {
		return err
	}
	_, err = r.git.run("update-ref", "refs/heads/"+r.defaultBranch, sha)
	return err
}

func readFiles(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(relative)] = string(content)
		return err
	})
	return files, err
}
