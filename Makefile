# What people run often. Every target is one or two commands; CI runs .ci/run.
.DEFAULT_GOAL := help
.PHONY: help run test fuzz schemathesis fmt lint doc openapi build findings validate deploy-proof table watch invoke story sam-local bench ci

# sam, cfn-lint and cargo-lambda as pinned in infra/deploy-proof/requirements-tools.txt.
TOOLS := target/venv/tools/bin
WITH_TOOLS := .ci/venv infra/deploy-proof/requirements-tools.txt >/dev/null && PATH="$(CURDIR)/$(TOOLS):$$PATH"
FUNCTIONS := $(notdir $(patsubst %/Cargo.toml,%,$(wildcard functions/*/Cargo.toml)))

TARGET ?=
SECONDS ?= 20

# What `make build` builds for: arm64 or x86_64, as the parameter Architecture of template.yaml.
ARCHITECTURE ?= arm64

FUNCTION ?= meta
EVENT ?= $(firstword $(wildcard events/$(FUNCTION)/*.json))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the local stack
	cargo run

test: ## run every test
	cargo test --workspace

fuzz: ## look for input that breaks something (make fuzz TARGET=jwt SECONDS=3600); every target without one
	SECONDS_EACH=$(SECONDS) tests/fuzz/run $(TARGET)

schemathesis: ## call every endpoint as its description says, and otherwise
	cargo build --quiet
	tests/schemathesis/run

fmt: ## format the code
	cargo fmt --all

lint: ## clippy without warnings, and what crates must not link
	.ci/fences
	cargo clippy --workspace --all-targets -- -D warnings

doc: ## build the documentation of the crates
	cargo doc --workspace --no-deps --document-private-items

openapi: ## write infra/openapi.json from the routes
	cargo run --quiet -- openapi > target/openapi.json && mv target/openapi.json infra/openapi.json

build: ## build the functions for Lambda into target/lambda (make build ARCHITECTURE=x86_64); arm64 without it
	$(WITH_TOOLS) cargo lambda build --release --$(subst _,-,$(ARCHITECTURE)) $(FUNCTIONS:%=--package %)

findings: ## what cfn-lint, checkov and zizmor find beyond .ci/accepted-findings.toml, ready to be pasted there
	.ci/findings

validate: ## check template.yaml
	$(WITH_TOOLS) AWS_DEFAULT_REGION=eu-west-1 SAM_CLI_TELEMETRY=0 sam validate --lint
	$(WITH_TOOLS) AWS_DEFAULT_REGION=eu-west-1 python3 infra/deploy-proof/transform.py template.yaml
	$(WITH_TOOLS) AWS_DEFAULT_REGION=eu-west-1 python3 infra/deploy-proof/network.py template.yaml
	$(WITH_TOOLS) AWS_DEFAULT_REGION=eu-west-1 python3 infra/deploy-proof/aliases.py template.yaml
	.ci/findings

deploy-proof: ## deploy into an emulated AWS and drive what stands there
	infra/deploy-proof/run.sh

table: ## an emulated AWS with the template in it, for `make watch` and `sam local`, until Ctrl-C
	infra/sam-local/run.sh table

watch: ## serve every function as Lambda would, for `make invoke`, until Ctrl-C
	infra/sam-local/run.sh watch

invoke: ## send EVENT to FUNCTION, which `make watch` serves (make invoke FUNCTION=jobs EVENT=events/jobs/….json)
	infra/sam-local/run.sh invoke $(FUNCTION) $(EVENT)

story: ## send all sample events to `make watch` in their order, and compare the answers (needs `make table`)
	infra/sam-local/run.sh story

sam-local: ## `sam local` in a Docker of its own: all sample events, and start-api (root; docker.io, debootstrap)
	infra/sam-local/run.sh image
	infra/sam-local/run.sh docker

bench: ## measure the functions: size, start, invocation, memory
	cargo bench --package gatehouse-tests --bench functions

ci: ## everything that CI runs
	.ci/run
