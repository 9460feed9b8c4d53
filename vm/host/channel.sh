#!/bin/bash
# Usage: channel.sh RUN_DIR KNOWN_HOSTS SSH_PORT
# The container's end of the guest's second serial port (messages: guest/usr/local/sbin/vm-channel). What arrives
# here comes from this very machine and through no network: that is why its host keys need no trust on first use.
# Writes KNOWN_HOSTS whole, by rename, for the names the machine goes by; never for a name that the guest chooses.
set -euo pipefail
export LC_ALL=C
run=$1 known_hosts=$2 ssh_port=$3

log() { printf 'vm: %s\n' "$*"; }

names() {
    local host
    printf 'vm'
    [[ -n $ssh_port ]] || return 0
    for host in localhost 127.0.0.1; do
        if ((ssh_port == 22)); then printf ',%s' "$host"; else printf ',[%s]:%s' "$host" "$ssh_port"; fi
    done
}

forget_boot() {
    keys=()
    rm -f "$run/ready" "$run/proved"
}

take_key() {
    if [[ ! $1 =~ ^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))\ [A-Za-z0-9+/]+=*$ ]] || ((${#keys[@]} >= 8)); then
        log "ignored what the guest calls a host key"
        return
    fi
    keys+=("$1")
}

publish_keys() {
    ((${#keys[@]} > 0)) || { log "the guest has published no host key"; return; }
    printf "$(names) %s\n" "${keys[@]}" >"$known_hosts.new"
    chmod 0644 "$known_hosts.new"
    mv "$known_hosts.new" "$known_hosts"
    log "host keys published (${#keys[@]}), $(up) s after start"
}

# Seconds since the container started: this process and the entrypoint start together.
up() { echo "$SECONDS"; }

machine_is_up() {
    printf '%s\n' "$1" >"$run/ready"
    if /usr/local/lib/vm/healthcheck.sh >/dev/null; then
        log "ready after $(up) s: ssh answers with its published key, the system is $1"
    else
        log "up after $(up) s, but ssh does not prove its key yet"
    fi
}

handle() {
    case $1 in
    boot | down) forget_boot ;;
    host-key\ *) take_key "${1#host-key }" ;;
    host-keys-end) publish_keys ;;
    time) printf '%s\n' "$EPOCHREALTIME" >"$run/channel.in" ;;
    ready\ *) [[ $1 =~ ^ready\ ([a-z]{1,20})$ ]] && machine_is_up "${BASH_REMATCH[1]}" ;;
    *) log "unknown message from the guest" ;;
    esac
}

keys=()
while IFS= read -r -n 4096 line; do
    handle "${line%$'\r'}"
done <"$run/channel.out"
