#!/usr/bin/env bash
# The deploy proof: builds the functions as Lambda takes them, checks the template, deploys it into an emulated AWS and
# drives what stands there. Needs Rust and Python, no AWS account and no Docker. See README.md.
# GATEHOUSE names a binary of the local stack that is there already; without it one is built.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=infra/deploy-proof
stage=target/deploy-proof/stage
case $(uname -m) in
  x86_64) arch=--x86-64 ;;
  aarch64 | arm64) arch=--arm64 ;;
  *) echo "Lambda has no machines like this $(uname -m)" >&2; exit 1 ;;
esac

step() { printf '\n== %s (at %s s)\n' "$1" "$SECONDS"; }

step "tools"
tools=$("$here/venv.sh" tools)
ministack=$("$here/venv.sh" ministack)
export PATH="$tools/bin:$PATH"

# Nothing here may look at, or write to, the AWS account and the caches of whoever runs this.
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_SESSION_TOKEN
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
export PYTHONPYCACHEPREFIX="$PWD/target/deploy-proof/pycache"
export SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR="$PWD/target/deploy-proof/sam"
export CARGO_ZIGBUILD_CACHE_DIR="$PWD/target/deploy-proof/zig"
export ZIG_GLOBAL_CACHE_DIR="$CARGO_ZIGBUILD_CACHE_DIR" ZIG_LOCAL_CACHE_DIR="$CARGO_ZIGBUILD_CACHE_DIR"

step "template"
sam validate --lint
cfn-lint template.yaml
python3 "$here/transform.py" template.yaml

step "functions"
# Built for this machine and beside the folder that a real deploy takes its binaries from, so that the two never mix.
packages=()
for manifest in functions/*/Cargo.toml; do packages+=(--package "$(basename "$(dirname "$manifest")")"); done
rm -rf "$stage"
mkdir -p "$stage/infra"
cp template.yaml "$stage/"
cp -r infra/state-machines "$stage/infra/"
cargo lambda build --quiet --release "$arch" --lambda-dir "$stage/target/lambda" "${packages[@]}"
if [ -z "${GATEHOUSE:-}" ]; then
  cargo build --quiet --bin gatehouse
  GATEHOUSE=${CARGO_TARGET_DIR:-target}/debug/gatehouse
fi

step "deployed stack"
python3 "$here/prove.py" --stage "$stage" --ministack "$ministack/bin/ministack" \
  --gatehouse "$GATEHOUSE"
