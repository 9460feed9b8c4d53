#!/bin/sh
# Installs Docker on Fedora and its kin, as the distribution packages it. Before it stands a line that sets `proxy`, empty
# or an HTTP proxy's URL. Lines behind `toolbox-note` are for a person. Nothing of the host's configuration is changed.
set -u
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
# shellcheck disable=SC2154 # set before
: "${proxy=}"

# It waits for its own lock, and says so.
run() {
  [ -z "$proxy" ] || set -- "--setopt=proxy=$proxy" "$@"
  dnf -q "$@" </dev/null
}

offered() { run list "$1" >/dev/null 2>&1; }

engine=
for package in moby-engine docker; do
  offered "$package" && engine=$package && break
done
if [ -z "$engine" ]; then
  # Says why, where the archive cannot be reached.
  run makecache >&2
  echo "No match for argument: moby-engine" >&2
  exit 1
fi
# From Fedora 41 on the command line is a package of its own.
! offered docker-cli || engine="$engine docker-cli"
# shellcheck disable=SC2086 # words
run install -y $engine
