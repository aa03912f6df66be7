#!/usr/bin/env bash
# The deploy proof: checks the template, builds a function as Lambda takes it, deploys the template into an emulated
# AWS and drives what stands there. Needs Rust and Python, no AWS account and no Docker. See README.md.
#
# run.sh [template] [functions] [stack]: these parts of it, or all.
# BINARIES names a folder with the binaries of a dev build of the workspace; without it they are built.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=infra/deploy-proof
stage=target/deploy-proof/stage
# The one that is built for release: every request waits for it, and with the AWS SDK, TLS and C code below it, it has
# what can keep a function from being compiled for Lambda.
released=authorizer
case $(uname -m) in
  x86_64) arch=--x86-64 ;;
  aarch64 | arm64) arch=--arm64 ;;
  *) echo "Lambda has no machines like this $(uname -m)" >&2; exit 1 ;;
esac

step() { printf '\n== %s (at %s s)\n' "$1" "$SECONDS"; }

step "tools"
tools=$(.ci/venv "$here/requirements-tools.txt")
ministack=$(.ci/venv "$here/requirements-ministack.txt")
export PATH="$tools/bin:$PATH"

. "$here/sealed-off.sh" "$PWD/target/deploy-proof"

template() {
  step "template"
  sam validate --lint
  python3 "$here/transform.py" template.yaml
  python3 "$here/network.py" template.yaml
  python3 "$here/aliases.py" template.yaml
  # How the stack's rights are judged.
  python3 -m unittest discover --start-directory "$here"
  # What a recovery takes for done, which is not interrupted below.
  python3 -m unittest discover --start-directory infra/recovery
}

# Beside the folder that a real deploy takes its binaries from, so that the two never mix.
functions() {
  step "functions"
  rm -rf "$stage"
  mkdir -p "$stage/infra"
  cp template.yaml "$stage/"
  cp -r infra/state-machines "$stage/infra/"
  local function packages=()
  for function in functions/*/; do packages+=(--package "$(basename "$function")"); done
  if [ -z "${BINARIES:-}" ]; then
    cargo build --quiet --bins --package gatehouse-local "${packages[@]}"
    BINARIES=${CARGO_TARGET_DIR:-target}/debug
  fi
  for function in functions/*/; do
    function=$(basename "$function")
    mkdir -p "$stage/target/lambda/$function"
    strip -o "$stage/target/lambda/$function/bootstrap" "$BINARIES/$function"
  done
  env -u RUSTC_WORKSPACE_WRAPPER \
    cargo lambda build --quiet --release "$arch" --lambda-dir "$stage/target/lambda" --package "$released"
  cp "$BINARIES/gatehouse" "$stage/"
}

stack() {
  step "deployed stack"
  python3 "$here/prove.py" --stage "$stage" --released "$released" --ministack "$ministack/bin/ministack" \
    --gatehouse "$stage/gatehouse"
}

[ $# -gt 0 ] || set -- template functions stack
for part in "$@"; do "$part"; done
