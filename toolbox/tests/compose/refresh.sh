#!/bin/sh
# Asks Docker Compose v2 what it makes of each case: CASE/expected.json is its answer, the case's directory written as
# /project. Made with Compose 2.26.1. Usage: ./refresh.sh [CASE...]; needs `docker compose` and no daemon.
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- */
for case in "$@"; do
    case=${case%/}
    directory=$PWD/$case
    arguments=
    [ ! -f "$case/arguments" ] || arguments=$(cat "$case/arguments")
    # shellcheck disable=SC2086 # one word each, none with blanks
    (cd "$case" && env -i PATH="$PATH" HOME=/home/me FROM_SHELL=shell ${DOCKER_CONFIG:+DOCKER_CONFIG="$DOCKER_CONFIG"} \
        docker compose --project-directory "$directory" $arguments config --format json) |
        sed "s#$directory#/project#g" >"$case/expected.json"
done
