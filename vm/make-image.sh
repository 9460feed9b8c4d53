#!/bin/sh
# Runs in the `disk` build stage: makes $2/disk.qcow2 of the tree in the archive $1, and
# $2/build, which tells one build from another.
# The file system is small here: the guest grows it to its disk at boot.
set -eu
archive=$1 out=$2
mkdir -p "$out"
truncate --size 1536M /tmp/disk.raw
# A name in the archive is not ASCII (a certificate).
# Debian 11 cannot check what its mke2fs did not know yet.
LC_ALL=C.UTF-8 mke2fs -q -t ext4 -O ^orphan_file,^metadata_csum_seed -L vm -m 1 -J size=32 -E lazy_itable_init=1 -d "$archive" /tmp/disk.raw
e2fsck -f -n /tmp/disk.raw
qemu-img convert -c -O qcow2 -o compression_type=zstd /tmp/disk.raw "$out/disk.qcow2"
sha256sum "$out/disk.qcow2" | cut -c 1-16 >"$out/build"
chmod -R u=rwX,go=rX "$out"
rm /tmp/disk.raw
