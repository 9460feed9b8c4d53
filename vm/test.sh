#!/bin/bash
# Checks the image `toolbox-vm` on a machine of its own, in containers with compose.yaml's flags: one line a check.
# Two boots, about a minute and a half when emulated on an idle computer. Usage: vm/test.sh
# shellcheck disable=SC2016 # what stands in single quotes is for the guest's shell
set -euo pipefail
readonly IMAGE=${VM_IMAGE:-toolbox-vm} NAME=vm-test-$$ PATIENCE=300
work=$(mktemp -d)
failures=0
boots=0

clean_up() {
    docker rm --force "$NAME" >/dev/null 2>&1 || true
    docker volume rm "$NAME-disk" "$NAME-known-hosts" >/dev/null 2>&1 || true
    rm -rf "$work"
}

# check WORDS COMMAND...: the command's output is shown only when it fails.
check() {
    local words=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        printf 'ok    %s\n' "$words"
    else
        printf 'FAIL  %s\n' "$words"
        sed 's/^/      /' "$work/output"
        failures=$((failures + 1))
    fi
}

confined() {
    docker "$1" --cap-drop ALL --security-opt no-new-privileges:true --read-only --tmpfs /tmp:size=64m \
        --device /dev/null:/dev/kvm "${@:2}"
}

create() {
    confined create --name "$NAME" --env VM_AUTHORIZED_KEY="$(cat "$work/key.pub")" --env VM_SSH_PORT=22 \
        --publish 127.0.0.1::22 --publish 127.0.0.1::80 \
        --volume "$NAME-disk:/var/lib/vm" --volume "$NAME-known-hosts:/run/vm" "$IMAGE" >/dev/null
}

state() { docker inspect --format "{{.State.$1}}" "$NAME"; }

start() {
    local deadline=$((SECONDS + PATIENCE))
    docker start "$NAME" >/dev/null
    boots=$((boots + 1))
    until [[ $(state Health.Status) == healthy ]]; do
        if [[ $(state Status) != running ]] || ((SECONDS > deadline)); then
            echo "boot $boots did not end well"
            docker logs --tail 20 "$NAME"
            return 1
        fi
        sleep 1
    done
    docker exec "$NAME" cat /run/vm/known_hosts >"$work/known_hosts.$boots"
    address=$(docker port "$NAME" 22/tcp)
}

# as KEY COMMAND: on the machine, as root, with the host key checked strictly.
as() {
    ssh -i "$1" -p "${address##*:}" -F none -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=20 \
        -o HostKeyAlias=vm -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$work/known_hosts.$boots" \
        root@127.0.0.1 "${@:2}"
}

on_vm() { as "$work/key" "$@"; }

# With a key of his own, and told which methods are left: no password is asked for.
stranger_is_refused() {
    ! as "$work/stranger" true 2>"$work/refusal" || return 1
    grep -F "Permission denied (publickey)." "$work/refusal"
}

refused_with() {
    local status=0
    confined run --rm "${@:2}" "$IMAGE" >"$work/refusal" 2>&1 || status=$?
    cat "$work/refusal"
    ((status == 2)) && grep -qF "$1" "$work/refusal"
}

clock_is_right() {
    local guest before
    before=$(date +%s%N)
    guest=$(on_vm date +%s%N)
    echo "asked at $before, answered $guest, back at $(date +%s%N)"
    ((guest > before - 500000000 && guest < $(date +%s%N) + 500000000))
}

stops_cleanly() {
    docker stop --time 60 "$NAME" && [[ $(state ExitCode) == 0 ]]
}

one_known_hosts_line_a_key() {
    cat "$work/known_hosts.1"
    [[ $(grep -cE '^vm,localhost,127\.0\.0\.1 (ssh-|ecdsa-)[^ ]+ [^ ]+$' "$work/known_hosts.1") == 3 ]]
}

# Looks on the raw disk for what every OpenSSH private key begins with, and proves on a real key that it would see one.
no_keys_in_image() {
    local mark=b3BlbnNzaC1rZXktdjE
    grep -q "$mark" "$work/key" || { echo "the mark of a key is wrong"; return 1; }
    confined run --rm --entrypoint bash --tmpfs /scratch:size=2g,mode=1777 "$IMAGE" -c \
        "qemu-img convert -O raw /usr/share/vm/disk.qcow2 /scratch/disk && ! grep -a -o -m 1 $mark /scratch/disk"
}

leave_half_a_disk() {
    docker run --rm --entrypoint sh --volume "$NAME-disk:/var/lib/vm" "$IMAGE" \
        -c 'mkdir /var/lib/vm/machine.new && echo half >/var/lib/vm/machine.new/disk.qcow2'
}

logs_say() { docker logs "$NAME" 2>&1 | grep -F "$1"; }

trap clean_up EXIT
ssh-keygen -q -t rsa -b 3072 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$work/stranger"
key="$(cat "$work/key.pub")"

check "a missing key is refused" refused_with "VM_AUTHORIZED_KEY is missing"
check "a private key is refused" refused_with "holds a private key" --env VM_AUTHORIZED_KEY="-----BEGIN OPENSSH PRIVATE KEY-----"
check "a wrong disk size is refused" refused_with "VM_DISK=8:" --env VM_AUTHORIZED_KEY="$key" --env VM_DISK=8
check "no private key in the image" no_keys_in_image

create
leave_half_a_disk
check "the machine boots and proves its host key" start
check "a first start cut short is repaired" logs_say "making the disk again"
check "known_hosts has a line for each key" one_known_hosts_line_a_key
check "root logs in with the key" on_vm true
check "a stranger is refused" stranger_is_refused
check "python3 is there, Docker is not" on_vm 'python3 -c "import json, http.client" && ! command -v docker'
check "every unit is well" on_vm '[ "$(systemctl is-system-running)" = running ]'
check "the disk has been grown" on_vm '[ "$(df --output=size -BG / | tail -n 1 | tr -dc 0-9)" -ge 7 ]'
check "the guest resolves and reaches Debian's archive" on_vm 'apt-get update -q'
check "the clock is right" clock_is_right
check "a file is written" on_vm 'echo kept >/root/kept && sync'
check "the machine powers off when the container is stopped" stops_cleanly
check "it boots again" start
check "the file is still there" on_vm '[ "$(cat /root/kept)" = kept ]'
check "the host keys are the same" cmp "$work/known_hosts.1" "$work/known_hosts.2"

((failures == 0)) || { echo "$failures checks failed"; exit 1; }
