#!/bin/sh
# Installs Docker on Alpine, from its community repository. Before it stands a line that sets `proxy`, empty or an HTTP
# proxy's URL. Lines behind `toolbox-note` are for a person. Nothing of the host's configuration is changed.
set -u
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
# shellcheck disable=SC2154 # set before
: "${proxy=}"
[ -z "$proxy" ] || export http_proxy="$proxy" https_proxy="$proxy"

# It waits for its own lock that many seconds.
run() { apk --wait 300 --no-progress "$@" </dev/null; }

# An old list may do where the archive cannot be reached; what is wrong is told where it does not.
run update
run add docker
