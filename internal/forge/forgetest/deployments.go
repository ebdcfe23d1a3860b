package forgetest

import (
	"fmt"
	"strings"

	"github.com/davitops/davit/internal/forge"
)

// Cases on deployments.
var deployments = []claim{
	{"a deployment saved twice is one, and says everything once", true, func(s scene) {
		d := s.deployment()
		var said []forge.Progress
		for _, progress := range []forge.Progress{
			forge.DeploymentQueued, forge.DeploymentWaiting, forge.DeploymentRunning, forge.DeploymentUnclear,
			forge.DeploymentRunning, forge.DeploymentFailed, forge.DeploymentRunning, forge.DeploymentDone, forge.DeploymentOver,
		} {
			d.Progress, d.Description = progress, "It is "+string(progress)+"."
			said = append(said, progress)
			for range 2 {
				id := s.deployed(d)
				if d.ID != "" && d.ID != id {
					s.Errorf("saved again as %s, was %s", id, d.ID)
				}
				d.ID = id
				s.step()
			}
			s.holdDeployments(d.Commit, Deployment{d, said})
		}
	}},
	{"a deployment says what is new about a state that lasts", true, func(s scene) {
		d := s.deployment()
		for _, change := range []struct{ description, url string }{{"1 of 2", ""}, {"2 of 2", ""}, {"2 of 2", ""}, {"2 of 2", "https://davit.acme.example/2"}, {"", ""}} {
			d.Description, d.URL = change.description, change.url
			d.ID = s.deployed(d)
			s.step()
		}
		s.holdDeployments(d.Commit, Deployment{d, []forge.Progress{d.Progress, d.Progress, d.Progress, d.Progress}})
	}},
	{"deployments of several keys, environments and commits are apart", true, func(s scene) {
		first := s.deployment()
		key, environment, commit := first, first, first
		key.Key, environment.Environment, commit.Commit = "rollout-2", "stage", s.PushBranch("davit/two")
		for _, progress := range []forge.Progress{forge.DeploymentQueued, forge.DeploymentFailed} {
			for _, d := range []*forge.Deployment{&first, &key, &environment, &commit} {
				d.Progress = progress
				d.ID = s.deployed(*d)
				s.step()
			}
		}
		said := []forge.Progress{forge.DeploymentQueued, forge.DeploymentFailed}
		s.holdDeployments(first.Commit, Deployment{first, said}, Deployment{key, said}, Deployment{environment, said})
		s.holdDeployments(commit.Commit, Deployment{commit, said})
	}},
	{"a deployment that is done takes the place of those before it, and they do not take it back", true, func(s scene) {
		first := s.deployment()
		second, elsewhere := first, first
		second.Commit, elsewhere.Commit, elsewhere.Environment = s.PushBranch("davit/two"), s.PushBranch("davit/three"), "stage"
		for _, d := range []*forge.Deployment{&first, &elsewhere, &second} {
			d.Progress = forge.DeploymentDone
			d.ID = s.deployed(*d)
		}
		for range 2 {
			s.step()
			s.deployed(first)
		}
		over := first
		over.Progress = forge.DeploymentOver
		done := []forge.Progress{forge.DeploymentDone}
		s.holdDeployments(first.Commit, Deployment{over, append(done, forge.DeploymentOver)})
		s.holdDeployments(second.Commit, Deployment{second, done})
		s.holdDeployments(elsewhere.Commit, Deployment{elsewhere, done})
		first.Progress = forge.DeploymentRunning // it is deployed again
		s.deployed(first)
		s.step()
		first.Progress = forge.DeploymentDone
		s.deployed(first)
		s.holdDeployments(first.Commit, Deployment{first, append(done, forge.DeploymentOver, forge.DeploymentRunning, forge.DeploymentDone)})
	}},
	{"a deployment that is over before it is there is not made", true, func(s scene) {
		d := s.deployment()
		d.Progress = forge.DeploymentOver
		for range 2 {
			if id, err := s.Forge().SaveDeployment(s.ctx(), d); id != "" || err != nil {
				s.Errorf("it is %q, %v", id, err)
			}
			s.step()
		}
		s.holdDeployments(d.Commit)
	}},
	{"a deployment whose answer was lost is found", true, func(s scene) {
		d := s.deployment()
		s.LoseAnswer()
		_, err := s.Forge().SaveDeployment(s.ctx(), d)
		s.class(err, forge.Unavailable)
		s.step()
		d.ID = s.deployed(d)
		s.holdDeployments(d.Commit, Deployment{d, []forge.Progress{d.Progress}})
	}},
	{"a wrong hint leads a deployment to nothing else", true, func(s scene) {
		d := s.deployment()
		other := d
		other.Key = "rollout-2"
		d.ID, other.ID = s.deployed(d), s.deployed(other)
		id := d.ID
		for _, hint := range []string{other.ID, "999999999", "none", ""} {
			s.step()
			d.ID = hint
			if again := s.deployed(d); again != id {
				s.Errorf("with the hint %q it is %s, was %s", hint, again, id)
			}
		}
		d.ID = id
		said := []forge.Progress{d.Progress}
		s.holdDeployments(d.Commit, Deployment{d, said}, Deployment{other, said})
	}},
	{"a description that is too long is cut, and not said again", true, func(s scene) {
		d := s.deployment()
		d.Description = strings.TrimSpace(strings.Repeat("⚓ñß ", 250))
		for range 2 {
			d.ID = s.deployed(d)
			s.step()
		}
		got := s.Deployments(d.Commit)[0]
		if short, cut := strings.CutSuffix(got.Description, "…"); short == "" || !strings.HasPrefix(d.Description, short) || !cut && short != d.Description {
			s.Errorf("it says %q", got.Description)
		}
		d.Description = got.Description
		s.holdDeployments(d.Commit, Deployment{d, []forge.Progress{d.Progress}})
	}},
}

// deployment is one of a new commit.
func (s scene) deployment() forge.Deployment {
	s.Helper()
	return forge.Deployment{
		Repo: s.Repo(), Commit: s.PushBranch("davit/one"), Environment: "prod/eu ⚓", Key: "rollout-1", Progress: forge.DeploymentRunning,
		Description: "Applying 2 of 3 targets — “prod”.", URL: "https://davit.acme.example/rollouts/1",
	}
}

func (s scene) deployed(d forge.Deployment) (id string) {
	s.Helper()
	id, err := s.Forge().SaveDeployment(s.ctx(), d)
	if err != nil || id == "" {
		s.Fatalf("save a deployment: %q, %v", id, err)
	}
	return id
}

// holdDeployments ends the test unless these are all of a commit, in this order.
func (s scene) holdDeployments(commit string, want ...Deployment) {
	s.Helper()
	got := s.Deployments(commit)
	if len(got) != len(want) {
		s.Fatalf("there are %d deployments, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		got[i].Repo = want[i].Repo
		if fmt.Sprintf("%+v", got[i]) != fmt.Sprintf("%+v", want[i]) {
			s.Errorf("deployment %d is\n%+v, want\n%+v", i, got[i], want[i])
		}
	}
}
