# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# .env and what compose.yaml takes from it. A value comes from the environment, else from .env, else from here.
# run.sh adds the lines that are missing and keeps its own lines true; $STATE/env records which are its own,
# so that a line a person wrote or changed is never touched, neither now nor by `down --volumes`.

ENV_FILE=.env
ENV_RECORD=$STATE/env
PASSED=()                # NAME=VALUE for compose in this run; goes before .env

# in_env_file NAME: the value that .env gives it.
in_env_file() {
    [[ -f $ENV_FILE ]] || return 0
    sed -n "s/^[[:space:]]*$1=//p" "$ENV_FILE" | tail -n 1 | sed -E "s/^\"(.*)\"\$/\\1/; s/^'(.*)'\$/\\1/"
}

# setting NAME DEFAULT
setting() {
    local value=${!1:-}
    [[ -n $value ]] || value=$(in_env_file "$1")
    echo "${value:-$2}"
}

# port_setting NAME DEFAULT: refuses what is no port.
port_setting() {
    local value
    value=$(setting "$1" "$2")
    is_port "$value" || fail 2 "$1 is \"$value\", but a port is a number from 1 to 65535" "$1=$2 $AGAIN"
    echo "$value"
}

is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && (( 10#$1 >= 1 && 10#$1 <= 65535 )); }

# keep_setting NAME VALUE: in .env, unless a person decided otherwise there.
keep_setting() {
    local line=$1=$2 present ours
    present=$(grep -E "^[[:space:]]*$1=" "$ENV_FILE" 2>/dev/null || true)
    ours=$(grep -E "^$1=" "$ENV_RECORD" 2>/dev/null || true)
    [[ $present = "$line" ]] && { [[ -z $ours ]] || remember_setting "$1" "$line"; return 0; }
    [[ -z $present || $present = "$ours" ]] || return 0
    [[ -s $ENV_FILE ]] || echo "# Made by run.sh; .env.example explains the names. Your own values stay." >"$ENV_FILE"
    drop_line "$ENV_FILE" "$1"
    echo "$line" >>"$ENV_FILE"
    remember_setting "$1" "$line"
    changed "wrote $ENV_FILE"
}

remember_setting() {
    touch "$ENV_RECORD"
    drop_line "$ENV_RECORD" "$1"
    echo "$2" >>"$ENV_RECORD"
}

# drop_line FILE NAME: whole or not at all.
drop_line() {
    grep -vE "^[[:space:]]*$2=" "$1" >"$1.new" || true
    mv "$1.new" "$1"
}

# write_settings: all that this machine decides, so that `docker compose run --rm toolbox ...` works by hand too.
write_settings() {
    keep_setting COMPOSE_PROJECT_NAME clock
    keep_setting DOCKER_GID "$(stat -L -c %g "$(socket_path)")"
    [[ $(socket_path) = /var/run/docker.sock ]] || keep_setting DOCKER_SOCKET "$(socket_path)"
    if [[ -z $HOST && -c /dev/kvm ]]; then
        keep_setting VM_KVM_DEVICE /dev/kvm
        keep_setting KVM_GID "$(stat -L -c %g /dev/kvm)"
    fi
    if [[ -z $HOST && -f $DEMO_KEY ]]; then
        keep_setting TOOLBOX_KEY_FILE "./$DEMO_KEY"
        keep_setting TOOLBOX_UID "$(stat -c %u "$DEMO_KEY" | sed 's/^0$/65532/')"
        keep_setting TOOLBOX_GID "$(stat -c %g "$DEMO_KEY" | sed 's/^0$/65532/')"
        keep_setting VM_AUTHORIZED_KEY "$(<"$DEMO_KEY.pub")"
    fi
    give_to_person "$ENV_FILE" "$STATE"
}

# give_to_person PATH...: under sudo, what we make belongs to the person behind it.
give_to_person() {
    (( EUID == 0 )) && [[ ${SUDO_UID:-0} != 0 ]] || return 0
    chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$@"
}

# pass_environment: the person's own variables that compose.yaml names, which sudo would drop.
pass_environment() {
    local name
    for name in COMPOSE_PROJECT_NAME $(grep -oE '\$\{[A-Z_]+' compose.yaml | cut -c 3- | sort -u); do
        [[ -z ${!name:-} ]] || PASSED+=("$name=${!name}")
    done
}

# forget_settings: takes our lines out of .env, and .env away when nothing else is in it.
forget_settings() {
    local line
    [[ -f $ENV_RECORD && -f $ENV_FILE ]] || return 0
    while IFS= read -r line; do
        grep -vxF -- "$line" "$ENV_FILE" >"$ENV_FILE.new" || true
        mv "$ENV_FILE.new" "$ENV_FILE"
    done <"$ENV_RECORD"
    grep -qv '^# Made by run.sh' "$ENV_FILE" || rm -f "$ENV_FILE"
}
