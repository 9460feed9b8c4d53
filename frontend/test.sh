#!/usr/bin/env bash
# Tests the frontend and backend images together, with the flags of compose.yaml: ./test.sh [--help]
set -euo pipefail

usage() {
    cat << 'END'
Usage: frontend/test.sh [BACKEND_IMAGE [FRONTEND_IMAGE]]

Runs both images (clock-backend and clock-frontend unless told otherwise; build them first) on a
network of their own, and prints one line for each check. Needs docker and curl. Removes what it made.
Exit status: 0 all checks passed, 1 a check failed, 2 usage or a missing image.
END
}

case ${1:-} in
    -h | --help) usage; exit 0 ;;
esac
[ $# -le 2 ] || { usage >&2; exit 2; }
backend_image=${1:-clock-backend}
frontend_image=${2:-clock-frontend}
for image in "$backend_image" "$frontend_image"; do
    docker image inspect "$image" > /dev/null || {
        echo "error: image $image does not exist: build it first (docker compose build)" >&2
        exit 2
    }
done

prefix=frontend-test-$$
frontend=$prefix-frontend
backend=$prefix-backend
work=$(mktemp -d)
# Readable for the container's user, whatever the umask here.
chmod 0755 "$work"
checks=0
failures=0
# The same as in compose.yaml.
hardened=(--read-only --cap-drop ALL --security-opt no-new-privileges:true)

clean_up() {
    local ids
    ids=$(docker ps --all --quiet --filter "name=^$prefix-")
    # shellcheck disable=SC2086 # one word for each container
    [ -z "$ids" ] || docker rm --force --volumes $ids > /dev/null
    docker network rm "$prefix" > /dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# check NAME COMMAND...: one line; the command's output only where it fails.
check() {
    local name=$1
    shift
    checks=$((checks + 1))
    if "$@" > "$work/output" 2>&1; then
        echo "ok    $name"
    else
        echo "FAIL  $name"
        sed 's/^/      /' "$work/output"
        failures=$((failures + 1))
    fi
}

# eventually SECONDS COMMAND...: waits until the command succeeds.
eventually() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > "$work/attempt" 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            cat "$work/attempt"
            return 1
        fi
        sleep 0.2
    done
}

start_backend() { # name [docker options]
    local name=$1
    shift
    docker run --detach --name "$name" --network "$prefix" "${hardened[@]}" --user 65532:65532 \
        --env CLOCK_HOST=0.0.0.0 --env CLOCK_PORT=8000 "$@" "$backend_image" > /dev/null
}

start_frontend() { # name [docker options]
    local name=$1
    shift
    docker run --detach --name "$name" --network "$prefix" "${hardened[@]}" --tmpfs /tmp \
        --publish 127.0.0.1::8080 --env CLOCK_BACKEND=clock-backend:8000 "$@" "$frontend_image" > /dev/null
    url=http://$(docker port "$name" 8080/tcp | sed -n 1p)
}

address_of() { docker inspect --format "{{(index .NetworkSettings.Networks \"$prefix\").IPAddress}}" "$1"; }
state_is() { [ "$(docker inspect --format "{{.State.Health.Status}}" "$1")" = "$2" ]; }
fetch() { curl --silent --show-error --max-time 10 "$@"; }
status_of() { fetch --output /dev/null --write-out '%{http_code}' "$@"; }
answers() { # STATUS CURL_ARGUMENTS...
    local want=$1 got
    shift
    got=$(status_of "$@") && { [ "$got" = "$want" ] || { echo "status $got, not $want"; false; }; }
}
header_of() { # NAME CURL_ARGUMENTS...
    local name=$1
    shift
    fetch --dump-header - --output /dev/null "$@" | tr -d '\r' | sed -n "s/^$name: //Ip"
}
header_is() { # NAME VALUE CURL_ARGUMENTS...
    local name=$1 want=$2 got
    shift 2
    got=$(header_of "$name" "$@")
    [ "$got" = "$want" ] || { echo "$name is \"$got\", not \"$want\""; false; }
}
clock_is_right() {
    local now
    now=$(fetch --fail "$url/clock") || return 1
    awk -v now="$now" -v here="$(date +%s.%N)" 'BEGIN {
        if (now !~ /^[0-9]+\.[0-9]+$/ || here - now > 5 || now - here > 1) { print now " is not " here; exit 1 }
    }'
}

# --- without a backend -------------------------------------------------------------------------
no_answer_is_plain() {
    answers 502 "$url/clock" && header_is Cache-Control no-store "$url/clock" &&
        header_is Content-Type "text/plain; charset=utf-8" "$url/clock" &&
        fetch "$url/clock" | grep -x 'the clock backend does not answer'
}
page_is_served() {
    fetch --fail "$url/" > "$work/page" && grep -q '<title>Clocker</title>' "$work/page" &&
        header_is Content-Type "text/html; charset=utf-8" "$url/" && header_is Cache-Control no-cache "$url/"
}

docker network create "$prefix" > /dev/null
start_frontend "$frontend"
check "starts and becomes healthy before the backend exists" eventually 30 state_is "$frontend" healthy
check "serves the page without a backend" page_is_served
check "says plainly that the backend does not answer" no_answer_is_plain

# --- with a backend ----------------------------------------------------------------------------
head_is_empty() {
    answers 200 --head "$url/clock" && [ -z "$(fetch --request HEAD --output - --max-time 3 --head "$url/clock" | sed '1,/^\r$/d')" ]
}
post_is_refused() {
    answers 405 --request POST "$url/clock" && header_is Allow GET,HEAD --request POST "$url/clock"
}
hardened_headers() { # PATH
    local name
    header_is Server nginx "$url$1" || return 1
    for name in X-Content-Type-Options X-Frame-Options Referrer-Policy Permissions-Policy \
        Cross-Origin-Resource-Policy Content-Security-Policy; do
        [ "$(header_of "$name" "$url$1" | wc -l)" = 1 ] || { echo "$1: not one $name"; return 1; }
    done
    header_of Content-Security-Policy "$url$1" | grep "^default-src 'none'; "
}
gzip_only_where_it_pays() {
    header_is Content-Encoding gzip --compressed "$url/" && header_is Vary Accept-Encoding "$url/" &&
        header_is Content-Encoding "" --compressed "$url/clock"
}
# Connections to port 8000 (hex 1F40) that the frontend ever had and the kernel still remembers.
few_connections_for_many_requests() {
    local i tables count
    for ((i = 0; i < 40; i++)); do fetch --fail --output /dev/null "$url/clock" || return 1; done
    tables=$(docker exec "$frontend" cat /proc/net/tcp)
    count=$(awk '$3 ~ /:1F40$/' <<< "$tables" | wc -l)
    echo "$count connections"
    [ "$count" -ge 1 ] && [ "$count" -le 6 ]
}
no_process_is_root() {
    local name users
    for name in "$frontend" "$backend"; do
        users=$(docker top "$name" -eo uid,pid,args | awk 'NR > 1 { print $1 }')
        echo "$name: $users"
        if [ -z "$users" ] || grep -qvx 65532 <<< "$users"; then return 1; fi
    done
}
first_process_is_nginx() {
    docker exec "$frontend" cat /proc/1/cmdline | tr '\0' ' ' | grep '^nginx: master process '
}

start_backend "$backend" --network-alias clock-backend
check "finds a backend that comes later" eventually 10 clock_is_right
check "the backend becomes healthy" eventually 30 state_is "$backend" healthy
check "/clock is the time" clock_is_right
check "/clock is never cached" header_is Cache-Control no-store "$url/clock"
check "HEAD /clock has no body" head_is_empty
check "POST /clock is refused with the allowed methods" post_is_refused
check "/healthz answers for itself" answers 200 "$url/healthz"
check "unknown paths are not found" answers 404 "$url/nowhere"
check "hidden files are not found" answers 404 "$url/.git/config"
check "an oversized body is refused" answers 413 --data "$(printf '%2000s' x)" "$url/clock"
for path in / /clock /nowhere; do
    check "headers of $path are safe" hardened_headers "$path"
done
check "gzip for the page, not for the clock" gzip_only_where_it_pays
check "connections to the backend are kept alive" few_connections_for_many_requests
check "no process is root" no_process_is_root
check "nginx is the first process" first_process_is_nginx

# --- a backend that goes, hangs and moves --------------------------------------------------------
taken_over() { [ "$(address_of "$prefix-squatter")" = "$old_address" ]; }
moved() { [ "$(address_of "$backend")" != "$old_address" ]; }
gives_up_in_time() {
    local start=$SECONDS
    answers 504 "$url/clock" && [ $((SECONDS - start)) -le 4 ]
}

docker pause "$backend" > /dev/null
check "gives up on a backend that hangs" gives_up_in_time
docker unpause "$backend" > /dev/null
check "recovers when the backend wakes up" eventually 10 clock_is_right
old_address=$(address_of "$backend")
docker rm --force "$backend" > /dev/null
check "says so when the backend is gone" eventually 5 answers 502 "$url/clock"
# Takes the address that has just become free, and is no backend of anybody's.
start_backend "$prefix-squatter" --env CLOCK_PORT=9999
start_backend "$backend" --network-alias clock-backend
check "a stranger has the old address" taken_over
check "the new backend has another address" moved
check "finds the backend at its new address" eventually 10 clock_is_right
docker network disconnect "$prefix" "$backend"
check "notices that the backend was cut off" eventually 10 answers 502 "$url/clock"
docker network connect --alias clock-backend "$prefix" "$backend"
check "recovers after the network" eventually 10 clock_is_right

# --- settings ------------------------------------------------------------------------------------
refuses_wrong_values() {
    local code=0 name
    docker run --rm --name "$prefix-wrong" "${hardened[@]}" --tmpfs /tmp --env CLOCK_BACKEND='a;b:1' \
        --env FRONTEND_PORT=80 --env FRONTEND_ACCESS_LOG=some "$frontend_image" > "$work/wrong" 2>&1 || code=$?
    cat "$work/wrong"
    [ "$code" = 2 ] || { echo "exit status $code"; return 1; }
    for name in CLOCK_BACKEND='"a;b:1"' FRONTEND_PORT='"80"' FRONTEND_ACCESS_LOG='"some"'; do
        grep -qF "$name: must be" "$work/wrong" || { echo "$name is not named"; return 1; }
    done
}
refuses_backend() {
    local code=0
    docker run --rm --name "$prefix-wrong" --tmpfs /tmp --env CLOCK_BACKEND="$1" "$frontend_image" -t \
        > "$work/wrong" 2>&1 || code=$?
    cat "$work/wrong"
    [ "$code" = 2 ] && grep -q CLOCK_BACKEND "$work/wrong"
}
names_the_missing_tmpfs() {
    local code=0
    docker run --rm --name "$prefix-bare" "${hardened[@]}" "$frontend_image" > "$work/bare" 2>&1 || code=$?
    cat "$work/bare"
    [ "$code" = 2 ] && grep -q -- '--tmpfs /tmp' "$work/bare"
}
stops_at_once() {
    local start=$SECONDS
    docker stop --time 10 "$1" > /dev/null
    [ "$(docker inspect --format '{{.State.ExitCode}}' "$1")" = 0 ] && [ $((SECONDS - start)) -lt 5 ]
}
starts_again_after_a_kill() {
    docker kill "$1" > /dev/null && docker start "$1" > /dev/null &&
        url=http://$(docker port "$1" 8080/tcp | sed -n 1p) && eventually 10 clock_is_right
}
good_answers_are_not_logged() { ! docker logs "$frontend" 2>&1 | grep -E '"GET /(clock|healthz) [^"]*" 200 '; }
failures_are_logged() { docker logs "$frontend" 2>&1 | grep '"GET /clock HTTP/1.1" 502 '; }

check "good answers of /clock are not logged" good_answers_are_not_logged
check "failures of /clock are logged" failures_are_logged
check "refuses all wrong values at once" refuses_wrong_values
# shellcheck disable=SC2016 # the $ is meant
for value in backend :8000 backend:0 backend:65536 '[::1:80' '[x]:80' 'a b:80' 'user@host:80' '$x:80'; do
    check "refuses CLOCK_BACKEND=$value" refuses_backend "$value"
done
check "names the missing tmpfs" names_the_missing_tmpfs
check "stops at once and cleanly" stops_at_once "$frontend"
docker start "$frontend" > /dev/null
url=http://$(docker port "$frontend" 8080/tcp | sed -n 1p)
check "starts again after a stop" eventually 10 clock_is_right
check "starts again after a kill" starts_again_after_a_kill "$frontend"

# --- another page, another port, an address for a backend ------------------------------------------
cat > "$work/index.html" << 'END'
<html><body><p id="clock"></p><script>
setInterval(() => fetch('/clock').then(answer => answer.text()).then(epoch => {
  const date = new Date(0); date.setUTCSeconds(epoch);
  document.getElementById('clock').textContent = date;
}), 500);
</script></body></html>
END
chmod 0644 "$work/index.html"
serves_the_mounted_page() {
    fetch --fail "$url/" | cmp - "$work/index.html" &&
        header_of Content-Security-Policy "$url/" | grep "script-src 'self' 'unsafe-inline';"
}
start_frontend "$prefix-other" --volume "$work/index.html:/usr/share/nginx/html/index.html:ro" \
    --env CLOCK_BACKEND="$(address_of "$backend"):8000"
check "serves a page mounted in place of ours" eventually 10 serves_the_mounted_page
check "takes an address for a backend" eventually 10 clock_is_right
start_frontend "$prefix-port" --env FRONTEND_PORT=9090
check "its health check follows FRONTEND_PORT" eventually 30 state_is "$prefix-port" healthy

echo "$checks checks, $failures failed"
[ "$failures" = 0 ]
