#!/bin/sh
# Puts Docker's settings in place, or the ones before them back, and makes the engine take them in. Before it stand:
# what=change, or undo; file and after, the file and its new text; existed=yes and before, its text as it was read;
# how=reload or restart.
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
# shellcheck disable=SC2154 # set before
: "$what" "$file" "$existed" "$before" "$after" "$how" "${pidfile:=/var/run/docker.pid}"

# What is behind a link is changed, and not the link.
[ ! -e "$file" ] || file=$(readlink -f "$file")
new=$file.toolbox-new
backup=$file.toolbox-backup
trap 'rm -f "$new"' EXIT

fail() { echo "$*" >&2; exit 1; }

untouched() {
  if [ "$existed" = yes ]; then [ "$(cat "$file" 2>/dev/null)" = "$before" ]; else [ ! -e "$file" ]; fi
}

change() {
  untouched || fail "$file was changed by somebody else meanwhile"
  mkdir -p "${file%/*}"
  # With its owner and rights.
  [ "$existed" != yes ] || cp -p "$file" "$new"
  printf '%s\n' "$after" >"$new"
  # Docker knows this from 23.0 on.
  if dockerd --help 2>/dev/null | grep -q -e --validate; then
    dockerd --validate --config-file "$new" </dev/null
  fi
  [ "$existed" != yes ] || cp -p "$file" "$backup"
  mv "$new" "$file"
}

undo() {
  [ "$(cat "$file")" = "$after" ] || fail "$file was changed by somebody else meanwhile"
  if [ "$existed" = yes ]; then cp -p "$backup" "$file"; else rm "$file"; fi
}

reload() {
  if [ -d /run/systemd/system ]; then systemctl reload docker
  else kill -s HUP "$(cat "$pidfile")"
  fi
}

restart() {
  # Containers outlive the engine where it knows that they shall before it ends.
  case $after in *'"live-restore": true'*) if reload 2>/dev/null; then sleep 1; fi ;; esac
  if [ -d /run/systemd/system ]; then
    # A unit that failed several times would not be started.
    systemctl reset-failed docker 2>/dev/null || :
    systemctl restart docker
  elif command -v rc-service >/dev/null 2>&1; then rc-service docker restart
  else service docker restart
  fi
}

"$what"
"$how" </dev/null || exit 75
