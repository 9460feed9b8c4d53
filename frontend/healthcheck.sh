#!/bin/bash
# Healthy when nginx itself answers; whether the backend does is shown by the page.
# bash, since it can open a connection without another package.
set -eu
exec 3<> "/dev/tcp/127.0.0.1/${FRONTEND_PORT:-8080}"
printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 3 line <&3
[[ $line == 'HTTP/1.1 200 '* ]] || {
    printf 'nginx answered: %s\n' "$line"
    exit 1
}
