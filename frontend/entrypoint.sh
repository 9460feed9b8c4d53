#!/bin/sh
# Renders nginx's configuration from the environment and becomes nginx. Arguments go to nginx.
#   CLOCK_BACKEND        host:port of the backend
#   FRONTEND_PORT        port to listen on
#   FRONTEND_ACCESS_LOG  all, quiet or off
# Every wrong value is reported before it exits with 2.
set -eu

template=/etc/clock/nginx.conf.template
config=/tmp/nginx.conf
page=/usr/share/nginx/html/index.html

say() {
    printf '%s\n' "$*" >&2
}

# wrong NAME VALUE ALLOWED
wrong() {
    say "error: $1=\"$2\": must be $3"
    failed=yes
}

# valid_port VALUE LOWEST
valid_port() {
    case $1 in
        '' | 0* | *[!0-9]* | ??????*) return 1 ;;
    esac
    [ "$1" -ge "$2" ] && [ "$1" -le 65535 ]
}

valid_host() {
    case $1 in
        \[*\])
            inside=${1#\[}
            inside=${inside%\]}
            case $inside in
                *[!0-9A-Fa-f:.]*) return 1 ;;
                *:*) return 0 ;;
            esac
            return 1
            ;;
        '' | [.-]* | *[!A-Za-z0-9._-]*) return 1 ;;
    esac
}

valid_backend() {
    case $1 in
        *:*) valid_host "${1%:*}" && valid_port "${1##*:}" 1 ;;
        *) return 1 ;;
    esac
}

# The nameservers, as nginx's resolver wants them; an address with a zone is none that it knows.
nameservers() {
    while read -r word address _; do
        case $word/$address in
            nameserver/*%*) ;;
            nameserver/*:*) printf ' [%s]' "$address" ;;
            nameserver/?*) printf ' %s' "$address" ;;
        esac
    done < /etc/resolv.conf
}

CLOCK_BACKEND=${CLOCK_BACKEND:-clock-backend:8000}
FRONTEND_PORT=${FRONTEND_PORT:-8080}
FRONTEND_ACCESS_LOG=${FRONTEND_ACCESS_LOG:-quiet}
failed=

valid_backend "$CLOCK_BACKEND" ||
    wrong CLOCK_BACKEND "$CLOCK_BACKEND" "host:port, such as clock-backend:8000, 192.0.2.7:8000 or [2001:db8::7]:8000"
valid_port "$FRONTEND_PORT" 1024 ||
    wrong FRONTEND_PORT "$FRONTEND_PORT" "a port from 1024 to 65535 (the container has no right to lower ones)"
# The $ is nginx's.
# shellcheck disable=SC2016
case $FRONTEND_ACCESS_LOG in
    all) ACCESS_LOG='/dev/stdout request' ;;
    quiet) ACCESS_LOG='/dev/stdout request if=$noteworthy' ;;
    off) ACCESS_LOG=off ;;
    *) wrong FRONTEND_ACCESS_LOG "$FRONTEND_ACCESS_LOG" "all, quiet or off" ;;
esac
[ -z "$failed" ] || exit 2

# A backend by address needs no nameserver, and nginx would refuse an empty list.
servers=$(nameservers)
RESOLVER=
if [ -n "$servers" ]; then
    RESOLVER="resolver$servers valid=1s; resolver_timeout 2s;"
else
    say "warning: no nameserver in /etc/resolv.conf: CLOCK_BACKEND must be an IP address"
fi

LISTEN_IPV6=
if [ -e /proc/net/if_inet6 ]; then
    LISTEN_IPV6="listen [::]:$FRONTEND_PORT default_server;"
fi

[ -r "$page" ] ||
    say "warning: $page cannot be read by user $(id -u): the page will be missing (chmod o+r)"

# What a killed nginx left behind would keep the next one from listening.
if ! { rm -f /tmp/clock-backend.sock && true > "$config"; } 2> /dev/null; then
    say "error: cannot write $config: mount a tmpfs at /tmp (docker run --tmpfs /tmp)"
    exit 2
fi
export ACCESS_LOG CLOCK_BACKEND FRONTEND_PORT LISTEN_IPV6 RESOLVER
# Only these, since nginx has variables of its own.
# shellcheck disable=SC2016
envsubst '$ACCESS_LOG $CLOCK_BACKEND $FRONTEND_PORT $LISTEN_IPV6 $RESOLVER' < "$template" > "$config"

# -e: before it has read its configuration, nginx would log to a file.
exec nginx -e stderr -c "$config" "$@"
