# Every target installs what it needs itself; nothing has to be set up before.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build demo git setup playground test e2e bench lint generate clean

GO       ?= go
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/davit
# The playground is built once for each state of its sources.
PLAYGROUND_SOURCES := $(filter-out %_test.go,$(sort $(wildcard $(addprefix deploy/playground/,*.go config/* go.mod go.sum build))))
PLAYGROUND         := $(CACHE)/playground-$(shell cat $(PLAYGROUND_SOURCES) | sha256sum | cut -c1-16)/playground

export DAVIT_PLAYGROUND := $(PLAYGROUND)

help: ## Show what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

build: ## Build bin/davit
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/davit ./cmd/davit

# KEEP=1 leaves everything up until it is interrupted.
demo: git playground ## Play two releases on real parts: merged, deployed, failed, reverted
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ ./cmd/davit ./cmd/githubsim ./cmd/demo
	@exec bin/demo $(if $(KEEP),-keep)

git:
	@command -v git >/dev/null || { echo "installing git"; apt-get update -qq && apt-get install -y -qq git >/dev/null; }

setup: git playground ## Install what tests need: Debian packages, and the playground
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { echo "installing PostgreSQL"; apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; }

playground: ## Build Kubernetes for tests, once; the last line is the program's path
	@[ -x $(PLAYGROUND) ] || GO='$(GO)' deploy/playground/build $(PLAYGROUND)
	@echo $(PLAYGROUND)

test: setup lint ## Run the tests, with the race detector
	$(GO) test -race ./...

e2e: setup ## Run the long tests: whole histories against kubectl
	$(GO) test -tags e2e -timeout 50m ./...
	cd deploy/playground && CGO_ENABLED=0 $(GO) test -trimpath -vet=off -tags e2e ./... # the flags of its build, whose cache is used

bench: setup ## Measure, against kubectl in the same run
	$(GO) test -run '^$$' -bench . -benchtime 3s ./...

lint: ## Check format, vet and static analysis
	@test -z "$$(gofmt -l cmd internal deploy)" || { gofmt -l cmd internal deploy; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet -tags e2e ./...
	$(GO) tool -modfile=.ci/tools.mod staticcheck -tags e2e ./...

generate: ## Write generated files anew
	$(GO) generate ./...

clean: ## Remove what was built here
	rm -rf bin
