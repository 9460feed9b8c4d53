#!/bin/bash
# Boots the demo machine under QEMU and stays in front of it until it is off.
# Exit status: 0 the machine was shut down; 1 it could not run, or had to be killed; 2 a wrong variable, nothing touched.
set -euo pipefail
export LC_ALL=C

readonly LIB=/usr/local/lib/vm
readonly STATE=/var/lib/vm
readonly MACHINE=$STATE/machine
readonly KNOWN_HOSTS=/run/vm/known_hosts
readonly RUN=/tmp/vm
# Docker kills the container after stop_grace_period (60 s in compose.yaml); be done before.
readonly POWER_OFF_SECONDS=50

cpus=${VM_CPUS:-1}
memory=${VM_MEMORY:-1024}
disk=${VM_DISK:-8G}
accel=${VM_ACCEL:-auto}
key=${VM_AUTHORIZED_KEY:-}
ssh_port=${VM_SSH_PORT:-}

stopping=
qemu_pid=

log() { printf 'vm: %s\n' "$*"; }
fail() { printf 'vm: error: %s\n' "$*" >&2; }

# --- variables -------------------------------------------------------------------------------------

in_range() { [[ $1 =~ ^[1-9][0-9]{0,6}$ ]] && (($1 >= $2 && $1 <= $3)); }

disk_size_is_valid() { [[ $disk == *G ]] && in_range "${disk%G}" 3 1024; }

memory_of_host() { awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo; }

check_key() {
    if [[ -z $key ]]; then
        fail "VM_AUTHORIZED_KEY is missing: set it to the line in your public key file, e.g. VM_AUTHORIZED_KEY=\"\$(cat id_rsa.pub)\""
    elif [[ $key == *"PRIVATE KEY"* ]]; then
        fail "VM_AUTHORIZED_KEY holds a private key: give the line in the .pub file beside it (and make a new key, this one has been shown)"
    elif [[ $key == *$'\n'* ]]; then
        fail "VM_AUTHORIZED_KEY holds more than one line: give one public key"
    elif [[ ! $key =~ ^(ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-) ]] || ! ssh-keygen -l -f /dev/stdin <<<"$key" >/dev/null 2>&1; then
        fail "VM_AUTHORIZED_KEY is not an OpenSSH public key: expected \"ssh-rsa AAAA... comment\" (or ssh-ed25519, ecdsa-sha2-nistp256, ...), got \"${key:0:40}\""
    else
        return 0
    fi
    return 1
}

# Says all that is wrong at once.
check_variables() {
    local wrong=0 most
    most=$(memory_of_host)
    in_range "$cpus" 1 64 || { fail "VM_CPUS=$cpus: expected a number of virtual CPUs, 1 to 64"; wrong=1; }
    in_range "$memory" 512 "$most" || { fail "VM_MEMORY=$memory: expected MiB, 512 to $most (all that this machine has)"; wrong=1; }
    disk_size_is_valid || { fail "VM_DISK=$disk: expected GiB with a G, 3G to 1024G"; wrong=1; }
    [[ $accel == auto || $accel == tcg ]] || { fail "VM_ACCEL=$accel: expected auto (KVM where it works) or tcg (always emulate)"; wrong=1; }
    [[ -z $ssh_port ]] || in_range "$ssh_port" 1 65535 || { fail "VM_SSH_PORT=$ssh_port: expected the host's port that is published for port 22, 1 to 65535"; wrong=1; }
    check_key || wrong=1
    ((wrong == 0)) || exit 2
}

check_volumes() {
    local dir
    for dir in "$STATE" "${KNOWN_HOSTS%/*}"; do
        [[ -w $dir ]] || { fail "$dir is not writable for uid $(id -u): use a fresh named volume, or give the directory to that uid"; exit 1; }
    done
    # Held as long as QEMU runs: two machines on one disk would ruin it.
    exec 9>"$STATE/lock"
    flock --nonblock 9 || { fail "another container runs on the disk in $STATE: stop it first"; exit 1; }
}

# --- the machine -----------------------------------------------------------------------------------

# Sets qemu, board, console, channel and quirks for this architecture. arm64 has not been run yet.
# no_timer_check: on a busy machine the emulated timer fails the kernel's test of it, and the boot crawls.
choose_board() {
    case $(uname -m) in
    x86_64) qemu=qemu-system-x86_64 board=q35,sata=off,smbus=off console=ttyS0 channel=ttyS1 quirks=no_timer_check ;;
    aarch64) qemu=qemu-system-aarch64 board=virt,gic-version=max console=ttyAMA0 channel=ttyAMA1 quirks= ;;
    *) fail "no demo machine for $(uname -m): x86_64 and aarch64 are known"; exit 1 ;;
    esac
}

choose_accel() {
    local why
    if [[ $accel == tcg ]]; then
        log "emulating (TCG): VM_ACCEL=tcg"
    elif why=$("$LIB/kvm-works.sh" "$MACHINE" "$console" "$qemu" -machine "$board"); then
        log "accelerated by KVM"
        accel_options=(-accel kvm -cpu host)
        return
    else
        log "KVM does not work here ($why): emulating (TCG), which is several times slower"
    fi
    accel_options=(-accel 'tcg,thread=multi,tb-size=256' -cpu max)
}

# The authorised key travels as a small tar on a read-only disk of its own.
make_seed() {
    mkdir "$RUN/seed"
    printf '%s\n' "$key" >"$RUN/seed/authorized_keys"
    tar --create --file "$RUN/seed.tar" --directory "$RUN/seed" authorized_keys
}

open_channels() {
    mkfifo "$RUN"/{monitor,channel}.{in,out}
    # Nobody reads the monitor's answers: held open both ways, it never blocks us.
    exec 7<>"$RUN/monitor.in" 8<>"$RUN/monitor.out"
    "$LIB/channel.sh" "$RUN" "$KNOWN_HOSTS" "$ssh_port" 7>&- 8>&- 9>&- &
}

# Every client reaches the guest as 10.0.2.2. QEMU alone would show it the clients' own addresses, which are those of
# this container's network; a Docker inside the guest is likely to choose the very same range for a network of its own,
# and the guest's answers would end there.
forward() {
    socat "TCP-LISTEN:$1,fork,reuseaddr,nodelay" "TCP:127.0.0.1:$2,nodelay" </dev/null 2>/dev/null 7>&- 8>&- 9>&- &
}

boot() {
    "$qemu" -name vm -machine "$board" "${accel_options[@]}" -smp "$cpus" -m "$memory" \
        -nodefaults -no-user-config -display none \
        -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
        -kernel "$MACHINE/vmlinuz" -initrd "$MACHINE/initrd.img" \
        -append "root=/dev/vda ro console=$console quiet panic=5 audit=0 TERM=dumb $quirks vm.channel=$channel" \
        -drive "if=none,id=disk,file=$MACHINE/disk.qcow2,format=qcow2,discard=unmap" \
        -device virtio-blk-pci,drive=disk \
        -drive "if=none,id=seed,file=$RUN/seed.tar,format=raw,readonly=on" \
        -device virtio-blk-pci,drive=seed,serial=seed \
        -netdev user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:10022-:22,hostfwd=tcp:127.0.0.1:10080-:80 \
        -device virtio-net-pci,netdev=net,romfile= \
        -device virtio-rng-pci \
        -chardev stdio,id=console,signal=off -serial chardev:console \
        -chardev "pipe,id=channel,path=$RUN/channel" -serial chardev:channel \
        -chardev "pipe,id=monitor,path=$RUN/monitor" -mon chardev=monitor,mode=readline \
        </dev/null 7>&- 8>&- &
    qemu_pid=$!
}

# --- its end ---------------------------------------------------------------------------------------

# Presses the power button until the machine is off: early in a boot nobody listens to it yet.
power_off() {
    local deadline=$((SECONDS + POWER_OFF_SECONDS))
    while kill -0 "$qemu_pid" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            fail "the machine is still on after $POWER_OFF_SECONDS s: killing it"
            kill -KILL "$qemu_pid" || true
            return
        fi
        echo system_powerdown >&7
        sleep 2
    done
}

asked_to_stop() {
    [[ -z $stopping ]] || return 0
    stopping=1
    log "asked to stop: pressing the machine's power button"
    [[ -z $qemu_pid ]] || power_off &
}

# wait also returns for a signal; the machine is off when its process is gone.
wait_for_machine() {
    local status=0
    while kill -0 "$qemu_pid" 2>/dev/null; do
        status=0
        wait "$qemu_pid" || status=$?
    done
    rm -f "$RUN/ready"
    ((status == 0)) || { fail "QEMU ended with status $status after $SECONDS s"; exit 1; }
    log "the machine is off after $SECONDS s"
}

main() {
    check_variables
    trap asked_to_stop TERM INT
    check_volumes
    # A key from an earlier disk must never vouch for this one.
    rm -f "$KNOWN_HOSTS" "$KNOWN_HOSTS".new
    rm -rf "$RUN" && mkdir "$RUN"
    "$LIB/make-disk.sh" /usr/share/vm "$MACHINE" "$disk"
    choose_board
    choose_accel
    make_seed
    open_channels
    [[ -z $stopping ]] || exit 0
    forward 22 10022
    forward 80 10080
    log "booting: $cpus virtual CPUs, $memory MiB of memory"
    boot
    [[ -z $stopping ]] || power_off &
    wait_for_machine
}

main
