# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# Calling the toolbox container, and looking at what it deployed as a browser would.

CHECK_WAIT=30            # seconds for the page to come up behind the host's port
CLOCK_TOLERANCE=5        # seconds that the host's clock may differ from ours

# toolbox VERB [ARGUMENT...]: its exit status is ours.
toolbox() {
    local verb=$1 arguments=() status=0
    shift
    [[ -z $HOST ]] || arguments+=(--host "$HOST")
    prepare_known_hosts
    ask_passphrase
    if [[ $KEY_MODE = stream ]]; then
        run_detached_from_terminal stream_key run --rm -T toolbox "$verb" "${arguments[@]}" --key - "$@" || status=$?
    elif has_terminal; then
        compose run --rm toolbox "$verb" "${arguments[@]}" "$@" || status=$?
    else
        run_detached_from_terminal true run --rm -T toolbox "$verb" "${arguments[@]}" "$@" || status=$?
    fi
    return "$status"
}

# run_detached_from_terminal INPUT COMPOSE-ARGUMENT...: in its own process group, so that our traps can end it.
run_detached_from_terminal() {
    local input=$1 status=0
    shift
    set -m
    { trap - EXIT INT TERM HUP; "$input" | compose "$@"; } &
    CHILD=$! CHILD_GRACE=300
    set +m
    wait "$CHILD" || status=$?
    CHILD='' CHILD_GRACE=10
    return "$status"
}

# prepare_known_hosts: for --host, the person's own entries of that host, hashed ones too; nothing is accepted
# here, and a host that is not among them is refused by the toolbox with its fingerprint.
prepare_known_hosts() {
    local home file
    [[ -n $HOST ]] || return 0
    if [[ $LIBVIRT = yes && -s $MACHINE/known_hosts ]]; then
        PASSED+=("TOOLBOX_KNOWN_HOSTS_FILE=$PWD/$MACHINE/known_hosts")
        return 0
    fi
    home=$(getent passwd "${SUDO_USER:-$(id -un)}" | cut -d: -f6)
    mkdir -p "$STATE"
    : >"$STATE/known_hosts"
    for file in "$home/.ssh/known_hosts" "$home/.ssh/known_hosts2"; do
        [[ ! -r $file ]] || ssh-keygen -F "$(known_hosts_name)" -f "$file" 2>/dev/null | grep -v '^#' >>"$STATE/known_hosts" || true
    done
    chmod 644 "$STATE/known_hosts"
    PASSED+=("TOOLBOX_KNOWN_HOSTS_FILE=$PWD/$STATE/known_hosts")
}

known_hosts_name() { if (( HOST_PORT == 22 )); then echo "$HOST_NAME"; else echo "[$HOST_NAME]:$HOST_PORT"; fi; }

# split_host user@address[:port], user@[v6][:port]: sets HOST_NAME and HOST_PORT.
split_host() {
    local rest v6='^\[([0-9A-Fa-f:.%a-z]+)\](:([0-9]+))?$' name='^([^][[:space:]/:]+)(:([0-9]+))?$'
    [[ $1 =~ ^[^@[:space:]]+@(.+)$ ]] || bad_host "$1"
    rest=${BASH_REMATCH[1]} HOST_PORT=22
    if [[ $rest =~ $v6 || $rest =~ $name ]]; then
        HOST_NAME=${BASH_REMATCH[1]} HOST_PORT=${BASH_REMATCH[3]:-22}
    else
        bad_host "$1"
    fi
    is_port "$HOST_PORT" || bad_host "$1"
    case $HOST_NAME in
        localhost | 127.* | ::1)
            fail 2 "--host $1: inside the toolbox container $HOST_NAME is the container itself" \
                "name this machine by an address of its network, for example one that ip -brief address shows" ;;
    esac
}

bad_host() { fail 2 "--host $1: expected user@address[:port], with an IPv6 address in brackets" "--host root@192.0.2.7:22"; }

# --- the result, as a browser sees it ----------------------------------------------------------------------

# http_get HOST PORT PATH: the answer with its head.
# shellcheck disable=SC2016  # the inner bash expands them
http_get() {
    timeout 10 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf "GET %s HTTP/1.0\r\nHost: %s:%s\r\nAccept: text/html,*/*\r\nConnection: close\r\n\r\n" "$3" "$1" "$2" >&3
        cat <&3' bash "$@" 2>/dev/null | tr -d '\0'
}

title_of() { { grep -oiE '<title>[^<]*' || true; } | sed -n 1p | cut -d '>' -f 2; }

# check_result HOST PORT: waits until the page of frontend/ and a time that moves with ours are served.
check_result() {
    local began=$SECONDS wanted trouble
    wanted=$(title_of <frontend/index.html)
    while :; do
        trouble=$(trouble_with "$1" "$2" "$wanted") || fail 1 "the check itself failed" "$AGAIN"
        [[ -n $trouble ]] || break
        (( SECONDS - began < CHECK_WAIT )) || fail 1 "http://$1:$2$trouble" "$0 status"
        echo "waited $(( SECONDS - began ))/$CHECK_WAIT s: http://$1:$2$trouble"
        sleep 1
    done
    note "\"$wanted\" is served, the clock is right"
}

# trouble_with HOST PORT TITLE: what is wrong, or nothing.
trouble_with() {
    local page clock now
    page=$(http_get "$1" "$2" /) || { echo "/ does not answer"; return; }
    [[ -n $page ]] || { echo "/ closes the connection without an answer"; return; }
    [[ $page =~ ^HTTP/1\.[01]\ 200 ]] || { echo "/ answers \"${page%%$'\r'*}\""; return; }
    [[ $(title_of <<<"$page") = "$3" ]] || { echo "/ is not the page of frontend/index.html (title \"$3\")"; return; }
    clock=$(http_get "$1" "$2" /clock) || { echo "/clock does not answer"; return; }
    [[ $clock =~ ^HTTP/1\.[01]\ 200 ]] || { echo "/clock answers \"${clock%%$'\r'*}\""; return; }
    clock=${clock##*$'\n'} now=$(date +%s)
    [[ $clock =~ ^([0-9]{9,11})(\.[0-9]+)?$ ]] || { echo "/clock answers no unix time: \"${clock:0:60}\""; return; }
    local off=$(( now - BASH_REMATCH[1] ))
    (( ${off#-} <= CLOCK_TOLERANCE )) || echo "/clock is $off s away from this machine's time"
}
