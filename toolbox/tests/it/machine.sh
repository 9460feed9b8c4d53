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
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    # A home without anybody's login scripts.
    mount -t tmpfs -o mode=0700 tmpfs "$root/root"
    mkdir -p "$root/var/lib/docker" "$root$data"
    # Empty, like a new machine's, also where DATA is another.
    mount -t tmpfs tmpfs "$root/var/lib/docker"
    mount -t tmpfs -o "size=$disk" tmpfs "$root$data"
    # Proof for the second half that it is inside.
    touch "$root/run/toolbox-machine"
    # Not chroot alone: whoever joins a container's mount namespace would come out in the outer root.
    cd "$root"
    pivot_root . mnt
    umount --lazy mnt
    exec chroot . /bin/sh "$directory/machine.sh" "$@"
}

inside() {
    mkdir -p /run/sshd
    # A `!`, which is the default, would lock the account.
    useradd --no-create-home --home-dir / --shell /bin/sh --password '*' visitor
    for program; do rm -f "$program"; done
    if [ "$engine" = absent ]; then
        rm -f /usr/bin/dockerd /usr/sbin/dockerd /etc/init.d/docker
        # Debian's package manager must believe it too.
        [ ! -e /var/lib/dpkg/status ] || sed -i '/^Package: docker.io$/,/^$/d' /var/lib/dpkg/status
        rm -rf /var/lib/apt/lists
    fi
    # Not every root may raise its limits; the engine runs with those that it has.
    [ ! -e /etc/init.d/docker ] || sed -i 's/^\([[:space:]]*\)ulimit /\1: ulimit /' /etc/init.d/docker
    /usr/sbin/sshd -D -e -f "$directory/sshd_config" &
    if [ "$engine" = running ]; then
        # It comes back when it ends, as a host's service manager sees to.
        while :; do
            dockerd --config-file "$directory/daemon.json" \
                -H unix:///run/docker.sock -H "unix://$directory/docker.sock" || :
        done &
    fi
    wait
}

directory=$1 data=$2 disk=$3 engine=$4
root=$directory/disk/root
if [ -e /run/toolbox-machine ]; then
    shift 4
    inside "$@"
else
    outside "$@"
fi
