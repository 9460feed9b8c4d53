#!/bin/sh
# Installs Docker on Debian and its kin. Before it stands a line that sets `proxy`, empty or an HTTP proxy's URL.
# Lines behind `toolbox-note` are for a person. Nothing of the host's configuration is changed.
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
# shellcheck disable=SC2154 # set before
: "${proxy=}"

work=$(mktemp -d) || exit 1
# A bundle's list of sources and settings, where one is used, has come before.
trap 'rm -rf "$work" ${bundle:+"$bundle"}' EXIT
trap 'exit 1' HUP INT PIPE TERM
errors=$work/errors
# Where set, a list of sources that counts instead of the host's.
archived=

# What a variable of os-release says.
release() {
  # shellcheck source=/dev/null
  ( [ ! -r /etc/os-release ] || . /etc/os-release; eval "printf %s \"\${$1-}\"" )
}
id=$(release ID) codename=$(release VERSION_CODENAME) version=$(release VERSION_ID) name=$(release PRETTY_NAME)

note() { printf 'toolbox-note %s\n' "$*"; }

# Runs apt-get or apt-cache with what holds here.
apt() {
  program=$1
  shift
  [ -z "$archived" ] ||
    set -- -o "Dir::Etc::SourceList=$archived" -o Dir::Etc::SourceParts=- -o APT::Get::List-Cleanup=false "$@"
  [ -z "$proxy" ] || set -- -o "Acquire::http::Proxy=$proxy" -o "Acquire::https::Proxy=$proxy" "$@"
  "$program" -q -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# Some lock was held by somebody else.
locked() { grep -Eqi 'could not get lock|unable to lock|is locked by another|was locked by another' "$errors"; }

# Who held it, and which: apt says so from 2.0 on, the kernel always.
holder() {
  lock=$(sed -n 's/.*[Cc]ould not get lock \(\/[A-Za-z0-9/_-]*\).*/\1/p' "$errors" | head -n 1)
  who=$(sed -n -e 's/.*held by \(process [0-9]* ([^)]*)\).*/\1/p' -e 's/.*by another process with \(pid [0-9]*\).*/\1/p' \
    "$errors" | head -n 1)
  [ -n "$who" ] || who=$(owner "${lock:-/var/lib/dpkg/lock}")
  printf '%s holds %s' "${who:-another process}" "${lock:-the lock of dpkg}"
}

owner() {
  inode=$(stat -c %i "$1" 2>/dev/null) || return 0
  while read -r _ _ _ _ pid place _; do
    case $place in
      *:"$inode") printf 'process %s (%s)' "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null)"; return ;;
    esac
  done </proc/locks 2>/dev/null
}

# Runs a command again while others hold a lock that it needs, for five minutes. What it said at last is in $errors.
patiently() {
  tries=0
  until "$@" 2>"$errors"; do
    locked || return 1
    if [ "$tries" -ge 60 ]; then
      printf 'E: waited 300 s: %s\n' "$(holder)" >>"$errors"
      return 1
    fi
    # Each time something, so that it ends when nobody listens any more.
    if [ "$tries" -eq 0 ]; then note "waiting up to 300 s: $(holder)"; else echo "waiting: $(holder)"; fi
    tries=$((tries + 1))
    sleep 5
  done
}

# The archive has this release no more: apt's words for its own suite, not for one of somebody else's archive.
moved() {
  [ -z "${bundle-}" ] && [ -n "$codename" ] && grep -v '://download\.docker\.com/' "$errors" | grep -Eq \
    -e "repository '[^']*/(debian|debian-security|ubuntu)/? $codename(-[a-z]+|/updates)? Release' (does not have|no longer has) a Release" \
    -e "Failed to fetch [^ ]*/dists/${codename}[-/][^ ]* +404"
}

# Sources for a release past its end of life. The signatures are checked as ever. Only the security archive's say until
# when they are good, which was long ago.
archive() {
  ring=/usr/share/keyrings/$id-archive-keyring.gpg
  signed=
  [ ! -r "$ring" ] || signed="signed-by=$ring"
  case $id in
    debian)
      suite=$codename-security
      [ "${version%%.*}" -gt 10 ] || suite=$codename/updates
      printf 'deb [%s] http://archive.debian.org/debian %s main\n' "${signed:-arch=$(dpkg --print-architecture)}" "$codename"
      printf 'deb [%s] http://archive.debian.org/debian-security %s main\n' "${signed:+$signed }check-valid-until=no" "$suite"
      ;;
    ubuntu)
      for suite in "$codename" "$codename-updates" "$codename-security"; do
        printf 'deb [%s] http://old-releases.ubuntu.com/ubuntu %s main universe\n' \
          "${signed:-arch=$(dpkg --print-architecture)}" "$suite"
      done
      ;;
  esac
}

# There is a Docker to install.
offered() { apt apt-cache policy docker.io 2>/dev/null | grep -q 'Candidate: [^(]'; }

# Fetches the lists, from where old releases are kept if the host's own archive has dropped this one.
fetch_lists() {
  patiently apt apt-get update && return
  moved || return
  cp "$errors" "$work/earlier"
  archive >"$work/archive.list"
  [ -s "$work/archive.list" ] || return
  archived=$work/archive.list
  if patiently apt apt-get update || offered; then
    note "$name is past its end of life and gets no security updates any more: its archive has moved, and Docker is" \
      "installed from $(sed -n '1s/.*\] \([^ ]*\).*/\1/p' "$archived"); /etc/apt is left as it is"
    return
  fi
  archived=
  cp "$work/earlier" "$errors"
}

packages() {
  printf docker.io
  # From Debian 13 on the command line is a package of its own, which docker.io only recommends.
  ! apt apt-cache show docker-cli >/dev/null 2>&1 || printf ' docker-cli'
  # Docker up to 20.10 starts no container under AppArmor without its parser, which docker.io only recommends.
  if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && ! command -v apparmor_parser >/dev/null &&
    apt apt-cache show apparmor >/dev/null 2>&1; then printf ' apparmor'; fi
}

install() {
  # shellcheck disable=SC2046 # words
  patiently apt apt-get install -y --no-install-recommends $(packages)
}

configure() { dpkg --configure -a </dev/null; }

give_up() {
  cat "$work/warnings" "$errors" >&2
  exit 100
}

# apt-get succeeds where it fetched nothing: why, which it warns of, is told where the installation fails for it. Nor
# does it matter that some other archive of the host is broken where Docker is offered.
fetch_lists
cp "$errors" "$work/warnings"
if ! offered; then
  : >"$errors"
  printf 'E: Package docker.io has no installation candidate\n' >>"$work/warnings"
  give_up
fi
install && exit
# What an interrupted installation left half-done is finished first.
if locked || ! grep -q dpkg "$errors"; then give_up; fi
patiently configure || give_up
install || give_up
