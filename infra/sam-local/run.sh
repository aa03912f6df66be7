#!/usr/bin/env bash
# Functions on this machine: run.sh table | watch | invoke FUNCTION EVENT | story. docs/SAM.md says what for.
#
# BINARIES names a folder with the binaries of a dev build of the workspace; without it they are built.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=infra/sam-local
work=$PWD/target/sam-local
# What the functions are told, by `table`; which of them `watch` serves; and where.
env_vars=${ENV_VARS:-$work/env.json}
served=${SERVED:-$work/served}
invoke_port=${INVOKE_PORT:-9000}
concourse_port=${CONCOURSE_PORT:-8081}

tools=$(.ci/venv infra/deploy-proof/requirements-tools.txt)
export PATH="$tools/bin:$PATH" PYTHONPYCACHEPREFIX="$work/pycache"

binaries() {
  [ -n "${BINARIES:-}" ] && return
  cargo build --workspace --bins
  BINARIES=${CARGO_TARGET_DIR:-target}/debug
}

# An emulated AWS with the template in it, until it is stopped.
table() {
  local ministack
  ministack=$(.ci/venv infra/deploy-proof/requirements-ministack.txt)
  binaries
  . infra/deploy-proof/sealed-off.sh "$work"
  rm -rf "$work/stage"
  mkdir -p "$work/stage/infra"
  cp template.yaml "$work/stage/"
  cp -r infra/state-machines "$work/stage/infra/"
  local function
  for function in functions/*/; do
    function=$(basename "$function")
    mkdir -p "$work/stage/target/lambda/$function"
    strip -o "$work/stage/target/lambda/$function/bootstrap" "$BINARIES/$function"
  done
  exec python3 "$here/table.py" --work "$work" --env-vars "$env_vars" --ministack "$ministack/bin/ministack" \
    --gatehouse "$BINARIES/gatehouse" --concourse-port "$concourse_port" \
    ${ADDRESS:+--address "$ADDRESS"} ${PORT:+--port "$PORT"}
}

watch() {
  binaries
  exec python3 "$here/watch.py" --binaries "$BINARIES" --env-vars "$env_vars" --served "$served" \
    --invoke-port "$invoke_port" --logs "$work/logs"
}

invoke() {
  # Of a function that nobody starts, `cargo lambda invoke` would wait for the answer for ever.
  grep -qxF "$1" "$served" 2>/dev/null || {
    echo "make watch does not serve $1; see what it says" >&2
    return 1
  }
  exec cargo lambda invoke --invoke-address 127.0.0.1 --invoke-port "$invoke_port" "$1" --data-file "$2"
}

story() {
  exec python3 infra/deploy-proof/story.py --invoke-port "$invoke_port" --key "$work/key.json" \
    --concourse "http://127.0.0.1:$concourse_port"
}

"$@"
