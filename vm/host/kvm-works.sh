#!/bin/bash
# Usage: kvm-works.sh MACHINE_DIR CONSOLE QEMU OPTION...
# Succeeds when KVM boots the machine's own kernel; fails with the reason on standard output.
# /dev/kvm is no proof: nested, it can be there and hang every guest; in a container it can be /dev/null.
set -euo pipefail
readonly SECONDS_ALLOWED=10
machine=$1 console=$2
shift 2

device_is_usable() {
    if [[ ! -c /dev/kvm || $(stat --dereference --format=%t:%T /dev/kvm) == 1:3 ]]; then
        echo "no /dev/kvm in this container"
    elif [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
        echo "/dev/kvm may not be opened by uid $(id -u): set KVM_GID to its group, $(stat --format=%g /dev/kvm)"
    elif [[ $(uname -m) == x86_64 ]] && ! grep -qwE 'vmx|svm' /proc/cpuinfo; then
        echo "the processor offers neither vmx nor svm"
    else
        return 0
    fi
    return 1
}

# A kernel whose init is `true` panics with a zero exit code: proof that it ran as far as user space.
kernel_boots() {
    local output
    output=$(timeout --kill-after=1 "$SECONDS_ALLOWED" "$@" \
        -accel kvm -cpu host -m 256 -nodefaults -no-user-config -display none -no-reboot \
        -kernel "$machine/vmlinuz" -initrd "$machine/initrd.img" \
        -append "console=$console rdinit=/bin/true panic=-1" -serial stdio </dev/null 2>&1) || true
    [[ $output == *"Attempted to kill init! exitcode=0x00000000"* ]]
}

device_is_usable || exit 1
kernel_boots "$@" || { echo "a guest did not boot in $SECONDS_ALLOWED s"; exit 1; }
