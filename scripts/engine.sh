# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# The container engine: finding docker and compose, and starting dockerd where no init system does.
# An engine on another machine (tcp://, ssh://) and a rootless one are refused with the reason.

ENGINE_WAIT=60           # seconds until a started dockerd must answer
DOCKERD_LOG=/var/log/toolbox-dockerd.log

DOCKER=(docker)          # with sudo in front where the socket cannot be opened otherwise
COMPOSE=()               # `docker compose`, else `docker-compose`
COMPOSE_FILES=()         # where compose.yaml is not all of it

docker_() { "${DOCKER[@]}" "$@"; }

engine_answers() { has docker && timeout 20 "${DOCKER[@]}" version --format '{{.Server.Version}}' >/dev/null 2>&1; }

find_compose() {
    if timeout 20 docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif timeout 20 docker-compose version >/dev/null 2>&1; then
        COMPOSE=(docker-compose)
    else
        return 1
    fi
}

# compose ARGUMENT...: with what this run decided (PASSED), which goes before .env; sudo would drop it otherwise.
compose() {
    local root=()
    [[ ${DOCKER[0]} != sudo ]] || root=(sudo -n)
    "${root[@]}" env "${PASSED[@]}" "${COMPOSE[@]}" "${COMPOSE_FILES[@]}" --profile toolbox --profile demo "$@"
}

# prepare_engine: afterwards docker_ and compose work.
prepare_engine() {
    need "Install" ca-certificates docker dockerd compose ssh-keygen
    find_compose
    choose_docker || start_engine
    refuse_foreign_engine
    choose_builder
    engine_versions
}

# choose_docker: plain docker where it reaches the engine, else through sudo.
choose_docker() {
    DOCKER=(docker)
    engine_answers && return 0
    [[ ${SUDO[0]:-} = sudo && -S $(socket_path) ]] || return 1
    ask_sudo "opening $(socket_path), which your user may not (group docker)"
    DOCKER=(sudo -n docker)
    engine_answers
}

has_engine_process() { grep -qxs dockerd /proc/[0-9]*/comm; }

start_engine() {
    ask_sudo "starting dockerd"
    step "Start dockerd" dockerd start_dockerd
    choose_docker || fail 1 "dockerd runs but does not answer $(id -un)" "docker version"
}

start_dockerd() {
    if [[ -d /run/systemd/system ]]; then
        "${SUDO[@]}" systemctl start docker
        note "by systemd"
    elif has_engine_process; then
        echo "dockerd runs already; waiting for it"
        note "was starting"
    else
        launch_dockerd
        note "by hand, log in $DOCKERD_LOG"
    fi
    changed "started dockerd"
    wait_for_engine
}

# Detached for good: a session of its own, no terminal, and none of our descriptors (the lock among them).
launch_dockerd() {
    echo "no init system: starting dockerd, log in $DOCKERD_LOG"
    # No dockerd runs: what a killed one left would keep a new one from starting once its number is another's.
    "${SUDO[@]}" rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
    # shellcheck disable=SC2016  # the inner shell expands $1
    "${SUDO[@]}" env PATH="$PATH:/usr/sbin:/sbin" setsid sh -c '
        for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done
        nohup dockerd >>"$1" 2>&1 </dev/null &' sh "$DOCKERD_LOG"
}

wait_for_engine() {
    local waited
    for (( waited = 0; waited < ENGINE_WAIT; waited++ )); do
        "${SUDO[@]}" timeout 5 docker version >/dev/null 2>&1 && return 0
        if (( waited > 5 )) && ! has_engine_process; then break; fi
        echo "waited $waited/$ENGINE_WAIT s for the engine"
        sleep 1
    done
    [[ ! -e $DOCKERD_LOG ]] || "${SUDO[@]}" tail -n 12 "$DOCKERD_LOG"
    fail 1 "dockerd did not start (its last words are above; all of them: $DOCKERD_LOG)" \
        "start it by hand, for example: ${EUID_HINT}dockerd"
}

# The toolbox container opens the engine's socket as a plain user of its group: a local, rootful engine.
refuse_foreign_engine() {
    local endpoint
    endpoint=$(engine_endpoint)
    [[ $endpoint = unix://* ]] ||
        fail 2 "docker here talks to $endpoint, but the toolbox container needs the engine's socket on this machine" \
            "unset DOCKER_HOST, or docker context use default"
    if docker_ info --format '{{.SecurityOptions}}' | grep rootless >/dev/null; then
        fail 2 "the engine behind $endpoint is rootless; its socket cannot be opened by a non-root container" \
            "use the system's engine: docker context use default"
    fi
}

engine_endpoint() {
    [[ -z ${DOCKER_HOST:-} ]] || { echo "$DOCKER_HOST"; return; }
    docker_ context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo unix:///var/run/docker.sock
}

socket_path() {
    local endpoint
    endpoint=$(engine_endpoint)
    echo "${endpoint#unix://}"
}

# BuildKit where the client has it, else the engine's classic builder: the Dockerfiles are legal for both.
choose_builder() {
    if timeout 20 docker buildx version >/dev/null 2>&1; then return 0; fi
    PASSED+=(DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=1)
}

engine_versions() {
    local engine
    engine=$(docker_ version --format '{{.Server.Version}}')
    say "$(printf '  %sok%s    Docker Engine %s, %s' "$GREEN" "$PLAIN" "$engine" "${COMPOSE[*]} $(compose_version)")"
}

compose_version() { "${COMPOSE[@]}" version --short 2>/dev/null; }
