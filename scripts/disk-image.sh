# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# A machine's disk out of an archive that holds one raw image (debian10-ssh.img.tar.xz): looked through before
# anything is written, unpacked once, with holes where the image is empty. Only a whole disk has its final name.

DISK_SUDO=()             # for a directory that is root's

# list_archive ARCHIVE LISTING: writes "SIZE NAME" for each file in it; reads the whole archive, so it is sound.
list_archive() {
    local total
    head -c 1 "$1" >/dev/null || fail 2 "$1 is not readable by $(id -un)" "sudo $AGAIN"
    total=$(stream_mib "$1")
    if ! tar_counted "$total" --list --verbose --numeric-owner --quoting-style=literal --file "$1" >"$2.half"; then
        fail 2 "$1 is not a whole archive that tar reads$(raw_image_words "$1")" "tar -tvf $1"
    fi
    sed -nE 's/^-[^ ]* +[^ ]+ +([0-9]+) +[^ ]+ +[^ ]+ (.*)$/\1 \2/p' "$2.half" >"$2"
    rm -f "$2.half"
}

# tar_counted MIB TAR-ARGUMENT...: tells how far it is, for the bar.
tar_counted() {
    local total=$1
    shift
    tar --record-size=1M --checkpoint=16 --checkpoint-action="echo=read %u/$total MiB" "$@"
}

# stream_mib ARCHIVE: what there is to read, decompressed; xz knows, of the others it is a guess.
stream_mib() {
    local bytes
    bytes=$(xz --robot --list "$1" 2>/dev/null | awk '$1 == "totals" { print $5 }')
    [[ -n $bytes ]] || bytes=$(( $(stat -L -c %s "$1") * 4 ))
    echo $(( bytes / 1048576 + 1 ))
}

raw_image_words() {
    [[ $(magic "$1" 510 2) != 55aa ]] || echo " (it looks like a disk image itself: pack it with tar --sparse -cJf NAME.img.tar.xz NAME.img)"
}

# magic FILE OFFSET COUNT: those bytes in hexadecimal.
magic() { "${DISK_SUDO[@]}" od -An -tx1 -j "$2" -N "$3" "$1" 2>/dev/null | tr -d ' \n'; }

# image_in LISTING ARCHIVE: "SIZE NAME" of the one disk image.
image_in() {
    local images
    mapfile -t images < <(grep -E '\.(img|raw)$' "$1" || true)
    case ${#images[@]} in
        1) echo "${images[0]}" ;;
        0) fail 2 "$2 holds no disk image (*.img): $(head -n 5 "$1" | cut -d ' ' -f 2- | tr '\n' ' ')" "tar -tvf $2" ;;
        *) fail 2 "$2 holds several disk images: $(printf '%s\n' "${images[@]}" | cut -d ' ' -f 2- | tr '\n' ' ')" \
            "pack the one that is wanted: tar --sparse -cJf NAME.img.tar.xz NAME.img" ;;
    esac
}

# The guest may fill its disk: room for all of it, though an empty part takes none.
check_room() {
    local free
    free=$(df --output=avail -B1 "$2" | tail -n 1)
    (( free >= $1 )) ||
        fail 2 "the disk has $(mib "$1") MiB when the machine fills it, and $2 has $(mib "$free") free" \
            "make room, or TOOLBOX_VM_DIR=/a/larger/place $AGAIN"
}

mib() { echo $(( $1 / 1048576 )); }

# unpack_image ARCHIVE LISTING DISK
unpack_image() {
    local size name half=$3.half image
    image=$(image_in "$2" "$1")
    size=${image%% *} name=${image#* }
    "${DISK_SUDO[@]}" rm -f "$half"
    check_room "$size" "$(dirname "$3")"
    tar_counted "$(stream_mib "$1")" --extract --to-stdout --file "$1" -- "$name" |
        "${DISK_SUDO[@]}" dd of="$half" bs=64K iflag=fullblock conv=sparse,fsync status=none
    [[ $("${DISK_SUDO[@]}" stat -c %s "$half") = "$size" ]] ||
        fail 1 "$name was unpacked to another size than the $size bytes that the archive lists" "$AGAIN"
    check_disk "$half" "$name"
    "${DISK_SUDO[@]}" mv "$half" "$3"
    note "$(mib "$size") MiB, $("${DISK_SUDO[@]}" du -m "$3" | cut -f 1) of them in use"
    changed "unpacked $3"
}

check_disk() {
    [[ $(magic "$1" 0 4) != 514649fb ]] ||
        fail 2 "$2 is a qcow2 image, and the machine's disk is raw" "qemu-img convert -O raw $2 raw.img, and pack that"
    [[ $(magic "$1" 510 2) = 55aa ]] ||
        fail 2 "$2 has no boot sector, so no machine starts from it" "pack the image of a whole disk, not of one partition"
}

# archive_mark ARCHIVE OLD-MARK: "SHA256 SIZE MTIME"; the sum is taken again only where size or time differ.
archive_mark() {
    local size_and_time
    size_and_time=$(stat -L -c '%s %Y' "$1")
    if [[ ${2#* } = "$size_and_time" ]]; then echo "$2"; else echo "$(sha256sum <"$1" | cut -d ' ' -f 1) $size_and_time"; fi
}
