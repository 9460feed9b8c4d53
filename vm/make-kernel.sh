#!/bin/sh
# Runs in the `kernel` build stage: unpacks Debian's kernel package into $1 (for its modules) and makes
# $2/{vmlinuz,initrd.img}. The guest gets the modules only: it is booted from outside with this kernel, so it
# needs no boot loader, no initramfs tools, and no kernel upgrade that would never run.
set -eu
tree=$1 out=$2
initramfs=/tmp/initramfs

unpack_kernel() {
    package=$(apt-cache depends "linux-image-cloud-$(dpkg --print-architecture)" |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | sed -n 1p)
    cd /tmp
    apt-get download "$package"
    dpkg-deb --extract "$package"_*.deb "$tree"
    ln -s usr/lib "$tree/lib" # where modprobe looks
    release=$(basename "$tree"/lib/modules/*)
    depmod --basedir "$tree" "$release"
    mkdir -p "$out"
    cp "$tree/boot/vmlinuz-$release" "$out/vmlinuz"
}

# Prints the module files of $@ and of what they need, in the order to load them; built-in ones have no file.
module_files() {
    for module; do
        modprobe --dirname "$tree" --set-version "$release" --show-depends "$module"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

add_modules() {
    module_files "$@" | while read -r file; do
        name=$(basename "${file%.xz}")
        case $file in
        *.xz) xz --decompress --stdout "$file" ;;
        *) cat "$file" ;;
        esac >"$initramfs/$name"
        echo "/$name"
    done >"$initramfs/modules"
}

make_initramfs() {
    mkdir -p "$initramfs/bin" "$initramfs/dev" "$initramfs/root"
    cp /bin/busybox "$initramfs/bin/"
    # `true` is for kvm-works.sh.
    for applet in sh mount insmod switch_root true; do ln -s busybox "$initramfs/bin/$applet"; done
    add_modules virtio_pci virtio_blk ext4
    chmod 0755 "$initramfs/init"
    (cd "$initramfs" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0) | gzip -9 >"$out/initrd.img"
}

unpack_kernel
make_initramfs
