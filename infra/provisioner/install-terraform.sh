#!/usr/bin/env bash
# install-terraform.sh DIRECTORY: puts the Terraform that we use into the directory. The one place that says which.
set -euo pipefail

version=1.11.4
directory=${1:?where to put it}

case $(uname -m) in
  x86_64)
    platform=linux_amd64
    sha256=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc
    ;;
  aarch64 | arm64)
    platform=linux_arm64
    sha256=a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633
    ;;
  *)
    echo "there is no pinned Terraform for this $(uname -m)" >&2
    exit 1
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
curl --fail --silent --show-error --location --retry 3 --output "$work/terraform.zip" \
  "https://releases.hashicorp.com/terraform/$version/terraform_${version}_$platform.zip"
echo "$sha256  $work/terraform.zip" | sha256sum --check --quiet
unzip -q "$work/terraform.zip" terraform -d "$work"
mkdir -p "$directory"
install -m 0755 "$work/terraform" "$directory/terraform"
"$directory/terraform" version
