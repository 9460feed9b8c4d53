#!/bin/sh
# A machine of its own made of this one: own network, processes, mounts, and a copy-on-write root, all of which vanish
# with its first process. It runs sshd, and a container engine where asked.
#
# usage: unshare --net --mount --pid --fork --kill-child sh machine.sh DIRECTORY DATA DISK ENGINE [HIDDEN…]
#   DIRECTORY  holds sshd_config, daemon.json and an empty directory `disk`; seen from inside under the same path
#   DATA       where the engine keeps its data, on a file system of its own
#   DISK       that file system's size, with further options of mount(8) for tmpfs
#   ENGINE     running, stopped, or absent: as on a machine that never had Docker, and no package lists either
#   HIDDEN     programs that this machine shall not have
# environment:
#   UNPACKED   a directory whose usr/ and etc/ are laid over the machine's: another engine; nothing by default
#   DAEMON     dockerd (default), or podman, which then stands where an engine's socket is expected
set -eu

outside() {
    ip link set lo up
    mount -t tmpfs -o size=256m,mode=0755 tmpfs "$directory/disk"
    mkdir "$directory/disk/upper" "$directory/disk/work" "$root"
    mount -t overlay -o "lowerdir=/,upperdir=$directory/disk/upper,workdir=$directory/disk/work" overlay "$root"
    mount --bind "$directory" "$root$directory"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    # Podman keeps its locks here.
    [ "$DAEMON" != podman ] || mount -t tmpfs tmpfs "$root/dev/shm"
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    # A home without anybody's login scripts.
    mount -t tmpfs -o mode=0700 tmpfs "$root/root"
    mkdir -p "$root/var/lib/docker" "$root$data"
    # Empty, like a new machine's, also where DATA is another.
    mount -t tmpfs tmpfs "$root/var/lib/docker"
    mount -t tmpfs -o "size=$disk" tmpfs "$root$data"
    [ -z "$UNPACKED" ] || lay_over
    # Proof for the second half that it is inside.
    touch "$root/run/toolbox-machine"
    # Not chroot alone: whoever joins a container's mount namespace would come out in the outer root.
    cd "$root"
    pivot_root . mnt
    umount --lazy mnt
    exec chroot . /bin/sh "$directory/machine.sh" "$@"
}

# Programs by mounts, file by file, so that nothing large is copied.
lay_over() {
    cd "$UNPACKED"
    cp -a --parents etc "$root"
    find usr -type d -exec sh -c 'for d; do mkdir -p "$0/$d"; done' "$root" {} +
    find usr -type l -exec cp -a --parents {} "$root" \;
    find usr -type f | while read -r file; do
        touch "$root/$file"
        mount --bind "$file" "$root/$file"
    done
}

# Docker says "API listen on" for each socket when it answers; Podman says nothing.
serve_podman() {
    podman --runtime runc system service --time=0 "unix://$1" &
    until [ -S "$1" ]; do sleep 0.05; done
    echo "API listen on $1" >&2
    wait
}

# Podman leaves its health checks to timers of systemd, which is not here.
check_health() {
    while sleep 0.2; do
        for container in $(podman ps --quiet); do
            podman --runtime runc healthcheck run "$container" || :
        done
    done >/dev/null 2>&1
}

run_engine() {
    if [ "$DAEMON" = podman ]; then
        serve_podman /run/docker.sock &
        serve_podman "$directory/docker.sock" &
        check_health &
        return
    fi
    # It comes back when it ends, as a host's service manager sees to.
    while :; do
        dockerd --config-file "$directory/daemon.json" \
            -H unix:///run/docker.sock -H "unix://$directory/docker.sock" || :
    done &
}

# Not every root may raise its limits; the engine runs with those that it has.
lower_limits() {
    [ ! -e /etc/init.d/docker ] || sed -i 's/^\([[:space:]]*\)ulimit /\1: ulimit /' /etc/init.d/docker
}

# What a package of a test puts in place again.
stash() {
    daemon=$(command -v dockerd)
    mkdir "$directory/docker"
    touch "$directory/docker/dockerd"
    mount --bind "$daemon" "$directory/docker/dockerd"
    lower_limits
    cp /etc/init.d/docker "$directory/docker/init"
    echo "$daemon" >"$directory/docker/path"
}

inside() {
    mkdir -p /run/sshd
    # A `!`, which is the default, would lock the account.
    useradd --no-create-home --home-dir / --shell /bin/sh --password '*' visitor
    for program; do rm -f "$program"; done
    if [ "$engine" = absent ]; then
        stash
        rm -f /usr/bin/dockerd /usr/sbin/dockerd /etc/init.d/docker
        # Debian's package manager must believe it too.
        [ ! -e /var/lib/dpkg/status ] || sed -i '/^Package: docker.io$/,/^$/d' /var/lib/dpkg/status
        rm -rf /var/lib/apt/lists
    fi
    lower_limits
    /usr/sbin/sshd -D -e -f "$directory/sshd_config" &
    [ "$engine" != running ] || run_engine
    wait
}

directory=$1 data=$2 disk=$3 engine=$4
: "${UNPACKED:=}" "${DAEMON:=dockerd}"
root=$directory/disk/root
if [ -e /run/toolbox-machine ]; then
    shift 4
    inside "$@"
else
    outside "$@"
fi
