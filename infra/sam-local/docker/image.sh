#!/usr/bin/env bash
# image.sh ARCHIVE: what stands in for Amazon's image of `provided.al2023`, as a tar archive for `docker import`: a Debian made by
# debootstrap, from the mirror that debootstrap asks by itself. Root only. SAM mounts the function's binary and its own emulator
# into the image and starts that, so there is nothing of Amazon's to be missed but an older C library.
set -euo pipefail

archive=$1
[ -s "$archive" ] && exit 0
folder=$(dirname "$archive")/root
mkdir -p "$(dirname "$archive")"

# In a mount namespace, so that what debootstrap mounts in the folder is gone with it, however it ends; in a process namespace
# for the same with what it starts.
rm -rf --one-file-system "$folder"
unshare --mount --pid --fork --kill-child --mount-proc \
  debootstrap --variant=minbase --include=ca-certificates bookworm "$folder"
# Docker makes the devices of its containers itself.
tar --directory "$folder" --create --exclude='./dev/*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
  --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' --file "$archive.part" .
rm -rf --one-file-system "$folder"
# Renamed when it is whole, so that a run that was stopped leaves no half behind.
mv "$archive.part" "$archive"
