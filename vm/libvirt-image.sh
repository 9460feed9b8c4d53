#!/bin/bash
# Usage: vm/libvirt-image.sh SUITE OUT.img.tar.xz PUBLIC_KEY_FILE
# Makes an archive in the form of the original brief's: a bootable raw disk of Debian SUITE (bullseye, bookworm ...)
# with openssh-server, python3, an address by DHCP and root's authorised key. For trying `./run.sh --libvirt`.
# MIRROR="deb http://... SUITE main" takes the packages, and gives the guest its archive, from there alone.
# Needs root, mmdebstrap, e2fsprogs, fdisk and xz; nothing is mounted, and no loop device is used.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8
readonly DISK_MIB=${DISK_MIB:-6144} START_SECTOR=2048   # the partition begins at 1 MiB, and GRUB lies before it

(($# == 3)) || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
((EUID == 0)) || { echo "libvirt-image.sh: needs root, for the owners of the guest's files" >&2; exit 2; }
suite=$1 out=$2 key=$3
ssh-keygen -l -f "$key" >/dev/null
for tool in mmdebstrap mke2fs sfdisk xz; do
    command -v "$tool" >/dev/null || { echo "libvirt-image.sh: $tool is missing (packages mmdebstrap e2fsprogs fdisk xz-utils)" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree disk=$work/debian-$suite-ssh.img

# What a minimal installation of Debian has, and GRUB's images for a BIOS.
make_tree() {
    local packages=linux-image-cloud-amd64,grub-pc-bin,systemd-sysv,udev,dbus,ifupdown,isc-dhcp-client,iproute2
    packages+=,openssh-server,python3,ca-certificates,kmod,e2fsprogs,zstd
    mmdebstrap --variant=minbase --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --aptopt='Acquire::Languages "none"' \
        "$suite" "$tree" ${MIRROR:+"$MIRROR"}
}

# The card's name depends on its place on the PCI bus: net.ifnames=0 makes it eth0 wherever it is.
make_machine() {
    printf 'debian10\n' >"$tree/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 debian10\n' >"$tree/etc/hosts"
    printf '/dev/vda1 / ext4 errors=remount-ro 0 1\n' >"$tree/etc/fstab"
    printf 'auto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n' >"$tree/etc/network/interfaces"
    install -D -m 0600 "$key" "$tree/root/.ssh/authorized_keys"
    chmod 0700 "$tree/root/.ssh"
    rm -f "$tree"/etc/ssh/ssh_host_* "$tree/etc/resolv.conf"
    : >"$tree/etc/machine-id"
    # Each machine makes host keys of its own at its first boot.
    cat >"$tree/etc/systemd/system/ssh-host-keys.service" <<'END'
[Unit]
Description=SSH host keys, made at the first boot
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_rsa_key.pub

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
END
    chroot "$tree" systemctl enable ssh-host-keys.service ssh.service
    # An emulated processor is slow enough without them.
    chroot "$tree" systemctl mask apt-daily.timer apt-daily-upgrade.timer
}

# GRUB reads its menu from the disk; what it needs for that is in core.img.
make_grub() {
    chroot "$tree" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/core.img \
        biosdisk part_msdos ext2 normal linux echo serial terminal
    mv "$tree/boot/core.img" "$work/core.img"
    cp "$tree/usr/lib/grub/i386-pc/boot.img" "$work/boot.img"
    cat >"$tree/boot/grub/grub.cfg" <<'END'
set timeout=0
menuentry "Debian" {
    linux /vmlinuz root=/dev/vda1 ro net.ifnames=0 no_timer_check console=tty0 console=ttyS0
    initrd /initrd.img
}
END
}

# boot.img loads the sector after it, where core.img begins: both hold these numbers already.
make_disk() {
    local offset=$((START_SECTOR * 512))
    truncate --size "${DISK_MIB}M" "$disk"
    echo "start=$START_SECTOR, type=83, bootable" | sfdisk --quiet --label dos "$disk"
    mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -E "offset=$offset" -d "$tree" "$disk" "$((DISK_MIB - 1))M"
    (($(stat -c %s "$work/core.img") < offset - 512)) || { echo "GRUB's core.img is too large" >&2; exit 1; }
    dd if="$work/boot.img" of="$disk" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core.img" of="$disk" bs=512 seek=1 conv=notrunc status=none
}

make_tree
mkdir -p "$tree/boot/grub"
make_machine
make_grub
make_disk
tar --create --sparse --directory "$work" --owner=0 --group=0 --file - "$(basename "$disk")" | xz -T0 -3 >"$out.half"
mv "$out.half" "$out"
