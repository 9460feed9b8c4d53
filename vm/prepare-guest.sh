#!/bin/sh
# Runs in the `guest` build stage, as root: turns the stage's own root into the guest's tree and
# writes it as a tar archive to $1: a tar keeps owners, modes and links whatever builder copies it on.
set -eu
archive=$1

# What a container image has and a machine must not: above all policy-rc.d, which forbids starting services.
remove_container_traces() {
    rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/docker* /etc/apt/apt.conf.d/docker*
}

# Nothing that should differ between two machines may come from the image.
remove_identity() {
    rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /var/lib/dbus/machine-id
    : >/etc/machine-id
}

# Masked: timers that would compete with the deployer for apt's lock or for one emulated CPU; consoles nobody
# can log in to; what this board has no hardware for; /tmp in memory, of which there is little.
choose_units() {
    systemctl mask \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
        dev-hugepages.mount sys-kernel-debug.mount sys-kernel-tracing.mount systemd-binfmt.service \
        proc-sys-fs-binfmt_misc.automount systemd-pstore.service modprobe@efi_pstore.service tmp.mount \
        getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service
    systemctl enable systemd-networkd.service systemd-resolved.service ssh.service \
        vm-clock.service vm-clock.timer vm-grow.service vm-host-keys.service vm-ready.service vm-seed.service
}

# Done here, so that the first boot of each machine need not (ConditionNeedsUpdate=).
update_caches() {
    touch /etc/default/locale # PAM warns at each login without it
    ldconfig
    systemd-hwdb update
    journalctl --update-catalog
    systemd-sysusers
    touch /etc/.updated /var/.updated
}

remove_caches() {
    apt-get clean
    rm -rf /var/lib/apt/lists/*
    find /var/log /var/cache/ldconfig /var/cache/apt -type f -delete
}

# What the builder mounts over the tree (/proc, /etc/hosts ...) is left out, and ours appended.
write_archive() {
    tar --create --file "$archive" --directory / --numeric-owner --xattrs --one-file-system --sort=name --anchored \
        --exclude=./proc --exclude=./sys --exclude=./dev --exclude=./run --exclude=./tmp \
        --exclude=./.dockerenv --exclude=./etc/hostname --exclude=./etc/hosts --exclude=./etc/resolv.conf .
    mkdir -p /tmp/own/etc /tmp/own/proc /tmp/own/sys /tmp/own/dev /tmp/own/run /tmp/own/tmp
    chmod 1777 /tmp/own/tmp
    printf 'vm\n' >/tmp/own/etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 vm\n::1 localhost ip6-localhost ip6-loopback\n' >/tmp/own/etc/hosts
    ln -s ../run/systemd/resolve/stub-resolv.conf /tmp/own/etc/resolv.conf
    tar --append --file "$archive" --directory /tmp/own --numeric-owner \
        ./etc/hostname ./etc/hosts ./etc/resolv.conf ./proc ./sys ./dev ./run ./tmp
}

# Until Debian 12 a system may keep /lib apart from /usr/lib, where the modules lie.
link_modules() {
    [ -e /lib/modules ] || ln -s ../usr/lib/modules /lib/modules
}

# OpenSSH has PerSourcePenalties since 9.8, and takes no setting that it does not know.
remove_unknown_settings() {
    ! /usr/sbin/sshd -t -o PerSourcePenalties=no 2>&1 | grep -q 'Bad configuration option' ||
        sed -i /^PerSourcePenalties/d /etc/ssh/sshd_config.d/10-vm.conf
}

remove_container_traces
remove_identity
link_modules
remove_unknown_settings
choose_units
chmod -R u=rwX,go=rX /etc/systemd /etc/ssh/sshd_config.d /etc/apt/apt.conf.d /etc/dpkg/dpkg.cfg.d /etc/modprobe.d /etc/fstab
chmod 0755 /usr/local/sbin/*
remove_caches
update_caches
write_archive
