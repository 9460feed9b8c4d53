# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# The demo in machines of several Debian releases, one after the other: each bare at first, with that release's own
# Docker afterwards, and removed in the end. Each is a project of its own; a demo that is up stays.

VM_SUITES=(bullseye bookworm trixie)          # sid, too, when it is named
VMS_SSH_PORT=2422        # its neighbour is for HTTP

# run_on_vms: `./run.sh test --vms [-- SUITE...]`.
run_on_vms() {
    local suite suites=("${VM_SUITES[@]}")
    (( ${#REST[@]} == 0 )) || suites=("${REST[@]}")
    need "Install what tests need" curl
    for suite in "${suites[@]}"; do
        [[ $suite =~ ^[a-z]+$ ]] || usage_error "$suite is no release of Debian"
    done
    for suite in "${suites[@]}"; do
        step "Debian $suite: bare machine to clock" "vm-$suite" as_demo "$suite" up
        step "Debian $suite: what must be true" "vm-$suite-checks" check_demo "$suite"
        step "Debian $suite: gone" "vm-$suite-down" as_demo "$suite" down --volumes
    done
}

# as_demo SUITE COMMAND...: run.sh as a person runs it, for that machine.
as_demo() {
    COMPOSE_PROJECT_NAME=clock-$1 VM_DEBIAN=$1 VM_SSH_PORT=$VMS_SSH_PORT VM_HTTP_PORT=$(( VMS_SSH_PORT + 1 )) \
        "$0" "${@:2}"
}

check_demo() {
    local url=http://127.0.0.1:$(( VMS_SSH_PORT + 1 )) answer again container engine
    answer=$(curl --fail --silent --show-error "$url/clock")
    [[ $answer =~ ^[0-9]+\.[0-9]+$ ]] || fail 1 "$url/clock answers \"$answer\"" "$0 test --vms -- $1"
    again=$(as_demo "$1" up)
    [[ $again = *"changed=0"* ]] || fail 1 "the second run on Debian $1 changed something: $again" "$0 test --vms -- $1"
    container='docker ps --all --quiet --filter label=com.docker.compose.service=clock-backend'
    as_demo "$1" ssh -- "docker rm --force \$($container)" >/dev/null
    again=$(as_demo "$1" deploy)
    [[ $again = *"changed=1"* ]] || fail 1 "a removed container did not come back: $again" "$0 test --vms -- $1"
    [[ $(as_demo "$1" toolbox releases) = *current* ]] || fail 1 "Debian $1 keeps no release" "$0 test --vms -- $1"
    engine=$(as_demo "$1" ssh -- "docker version --format '{{.Server.Version}}'")
    note "Docker $engine"
}
