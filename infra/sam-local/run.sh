#!/usr/bin/env bash
# Functions on this machine: run.sh table | watch | invoke FUNCTION EVENT | story | image | docker. docs/SAM.md says what for.
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

# The template, with the binaries where it looks for them.
stage() {
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
}

# An emulated AWS with the template in it, until it is stopped.
table() {
  local ministack
  ministack=$(.ci/venv infra/deploy-proof/requirements-ministack.txt)
  binaries
  . infra/deploy-proof/sealed-off.sh "$work"
  stage
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

# Its own folder, so that a table of somebody's beside it is left alone.
apart=$work/docker
image=$apart/image.tar

# What `docker` needs when root runs it: Docker, and what stands in for Amazon's image. Fails on no machine: why one of them is
# not to be had is written down, and `docker` says it.
image() {
  mkdir -p "$apart"
  rm -f "$apart/why-not"
  [ "$(id -u)" -eq 0 ] || { echo "only root makes the image; whose Docker is there is used"; return; }
  packages || { echo "Docker or debootstrap cannot be installed" | tee "$apart/why-not"; return; }
  "$here/docker/image.sh" "$image" >"$apart/image.log" 2>&1 ||
    echo "debootstrap makes no image: $(tail -n 1 "$apart/image.log")" | tee "$apart/why-not"
}

# Debian's and Ubuntu's; whose package manager is another one installs them himself.
packages() {
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v iptables >/dev/null || missing+=(iptables)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || return 1
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}"
}

# The story with `sam local invoke`, and `sam local start-api`, in a Docker. For root a Docker of its own, in namespaces of the
# mounts, the network and the processes: whatever is started or set up in them is gone when they are, and the machine's own
# Docker and network are not touched. For everybody else the Docker that is there.
docker() {
  mkdir -p "$apart"
  if [ "$(uname -s)" != Linux ]; then
    echo "not checked: sam local with Docker (this is no Linux)"
    return
  fi
  if [ "$(id -u)" -eq 0 ] && [ ! -s "$image" ] && [ ! -s "$apart/why-not" ]; then
    echo "infra/sam-local/run.sh image comes first" >&2
    return 1
  elif [ -s "$apart/why-not" ]; then
    echo "not checked: sam local with Docker ($(cat "$apart/why-not"))"
    return
  fi
  local ministack alone=() own=()
  ministack=$(.ci/venv infra/deploy-proof/requirements-ministack.txt)
  binaries
  . infra/deploy-proof/sealed-off.sh "$apart"
  # One at a time in one tree, until the last process of it has ended.
  exec 9>"$apart/lock"
  flock --nonblock 9 || {
    echo "another one runs in this tree" >&2
    return 1
  }
  export DOCKER_CONFIG=$apart/config
  if [ "$(id -u)" -eq 0 ]; then
    # With a loopback that works and a /run that is empty, where sockets are.
    # shellcheck disable=SC2016 # expanded in there
    alone=(unshare --mount --net --pid --fork --kill-child --mount-proc
      sh -c 'ip link set lo up && mount -t tmpfs tmpfs /run && exec "$@"' sh)
    if ! "${alone[@]}" true; then
      echo "not checked: sam local with Docker (this machine gives no namespaces)"
      return
    fi
    own=(--image "$image" --daemon "$apart/daemon")
    rm -rf --one-file-system "$apart/daemon"
    unset DOCKER_HOST
    # What was mounted in it is gone with the namespaces.
    trap 'rm -rf --one-file-system "$apart/daemon"' EXIT
  fi
  work=$apart
  stage
  "${alone[@]}" python3 "$here/docker/prove.py" --work "$apart" --ministack "$ministack/bin/ministack" \
    --gatehouse "$(realpath "$BINARIES/gatehouse")" "${own[@]}"
}

"$@"
