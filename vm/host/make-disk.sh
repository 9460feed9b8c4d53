#!/bin/bash
# Usage: make-disk.sh IMAGE_DIR MACHINE_DIR SIZE
# Makes the machine's directory at its first start: a disk of its own (no overlay: a rebuilt image would break
# it) and the kernel that its modules belong to. It appears whole, by one rename, or not at all.
set -euo pipefail
image=$1 machine=$2 size=$3

log() { printf 'vm: %s\n' "$*"; }

make_machine() {
    local new=$machine.new
    if [[ -e $new ]]; then
        log "an earlier first start was cut short: making the disk again"
        rm -rf "$new"
    fi
    mkdir "$new"
    cp "$image"/{disk.qcow2,vmlinuz,initrd.img,build} "$new"
    sync "$new"/* "$new"
    mv --no-target-directory "$new" "$machine"
    sync "${machine%/*}"
    log "first start: disk made"
}

gib_of_disk() {
    local bytes
    bytes=$(LC_ALL=C qemu-img info "$machine/disk.qcow2" | sed -n 's/^virtual size:.*(\([0-9]*\) bytes)$/\1/p')
    echo $((bytes / 1024 ** 3))
}

grow() {
    local have want=${size%G}
    have=$(gib_of_disk)
    if ((have < want)); then
        qemu-img resize -q "$machine/disk.qcow2" "$size"
        log "disk grown to $size (sparse); the guest's file system follows"
    elif ((have > want)); then
        log "the disk has ${have}G and keeps them: it is never made smaller (VM_DISK=$size)"
    fi
}

if [[ ! -d $machine ]]; then
    make_machine
elif ! cmp -s "$image/build" "$machine/build"; then
    log "the disk comes from another build of this image and is kept: remove its volume to have the new one"
fi
grow
