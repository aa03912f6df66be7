#!/usr/bin/env bash
# venv.sh NAME: makes target/deploy-proof/NAME, a Python environment with what requirements-NAME.txt pins, unless it is
# there already. Prints its folder.
set -euo pipefail

name=$1
here=$(cd "$(dirname "$0")" && pwd)
wanted=$here/requirements-$name.txt
venv=$(cd "$here/../.." && pwd)/target/deploy-proof/$name

if ! cmp -s "$wanted" "$venv/installed.txt"; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo "Python 3.10 or newer is needed; $(python3 --version) is here" >&2
    exit 1
  }
  rm -rf "$venv"
  python3 -m venv "$venv"
  # Nothing is left to resolve in a list that names everything, and `--no-deps` keeps pip from trying.
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-compile --no-deps -r "$wanted" >&2
  cp "$wanted" "$venv/installed.txt"
fi
echo "$venv"
