# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# The demo VM: a QEMU machine in the container of compose's service `vm`. Its image tells by its health when
# the guest's sshd answers with the very host key that the guest printed on its serial port.

VM_WAIT=900              # seconds for a boot; emulated machines on a busy host are slow

vm_container() {
    docker_ ps -aq --filter "label=com.docker.compose.project=$(project)" \
        --filter label=com.docker.compose.service=vm --filter label=com.docker.compose.oneoff=False | sed -n 1p
}

project() { setting COMPOSE_PROJECT_NAME clock; }

# vm_state: absent, created, running, exited ...; with its health behind a slash where it runs.
vm_state() {
    local container
    container=$(vm_container)
    [[ -n $container ]] || { echo absent; return; }
    docker_ inspect --format '{{.State.Status}}{{if and .State.Running .State.Health}}/{{.State.Health.Status}}{{end}}' "$container"
}

# check_ports: before anything starts. A port that our own VM already publishes is not in the way.
check_ports() {
    local ours
    ours=$([[ -z $(vm_container) ]] || docker_ port "$(vm_container)" 2>/dev/null || true)
    check_port VM_SSH_PORT 2222 "$ours"
    check_port VM_HTTP_PORT 8080 "$ours"
}

check_port() {
    local port
    port=$(port_setting "$1" "$2")
    [[ $3 != *":$port"* ]] || return 0
    can_connect 127.0.0.1 "$port" || return 0
    fail 2 "port $port of 127.0.0.1 is taken$(port_owner "$port"), and the demo VM wants it ($1)" \
        "$1=$(free_port "$port") $AGAIN, or put $1=... into $ENV_FILE"
}

# can_connect HOST PORT
# shellcheck disable=SC2016  # the inner bash expands them
can_connect() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>/dev/null; }

port_owner() {
    local owner
    owner=$(ss -Hltnp "sport = :$1" 2>/dev/null | grep -o 'users:.*' | grep -oE '"[^"]+",pid=[0-9]+' | sed -n 1p || true)
    [[ -z $owner ]] || echo " by ${owner//\"/}"
}

free_port() {
    local port
    for (( port = $1 + 1; port < 65536; port++ )); do
        can_connect 127.0.0.1 "$port" || { echo "$port"; return; }
    done
}

start_vm() { step "Demo VM" vm boot_vm; }

boot_vm() {
    local before
    before=$(vm_identity)
    compose up -d vm
    if [[ $(vm_identity) != "$before" ]]; then changed "started the demo VM"; fi
    wait_for_vm
    note "ssh on 127.0.0.1:$(setting VM_SSH_PORT 2222)"
}

# vm_identity: changes with a new container and with each start of it.
vm_identity() {
    local container
    container=$(vm_container)
    [[ -z $container ]] || docker_ inspect --format '{{.Id}} {{.State.StartedAt}}' "$container"
}

wait_for_vm() {
    local began=$SECONDS state
    while (( SECONDS - began < VM_WAIT )); do
        state=$(vm_state)
        case $state in
            running/healthy) return 0 ;;
            running/*)       echo "waited $(( SECONDS - began ))/$VM_WAIT s for the VM (${state#running/})" ;;
            running)         fail 1 "the image of the vm has no health check" "compose build vm" ;;
            *)               vm_last_words
                             fail 1 "the demo VM's container is $state; its log is above" "$0 logs" ;;
        esac
        sleep 1
    done
    vm_last_words
    fail 1 "the demo VM was not healthy after $VM_WAIT s; its log is above" "$0 logs, and $0 to wait again"
}

vm_last_words() { docker_ logs --tail 15 "$(vm_container)" 2>&1 || true; }

require_vm() {
    [[ $(vm_state) = running/* ]] || fail 1 "the demo VM does not run (it is $(vm_state))" "$0 starts it"
}

# vm_ssh [COMMAND...]: with the demo key, and the host key from the VM's own volume.
vm_ssh() {
    local known=$STATE/vm_known_hosts
    require_vm
    need "Install" ssh
    docker_ exec "$(vm_container)" cat /run/vm/known_hosts >"$known" 2>/dev/null || true
    [[ -s $known ]] || fail 1 "the demo VM has not told its host key yet (it is $(vm_state))" "$0 status"
    sed -i -E 's/^(@[a-z-]+ +)?[^ ]+ /\1toolbox-vm /' "$known"    # one name for it, whatever the port is
    ssh -i "$KEY" -p "$(port_setting VM_SSH_PORT 2222)" -o IdentitiesOnly=yes -o HostKeyAlias=toolbox-vm \
        -o UserKnownHostsFile="$known" -o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes \
        -o UpdateHostKeys=no -o LogLevel=ERROR root@127.0.0.1 "$@"
}
