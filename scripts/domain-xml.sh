# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# A libvirt domain's XML: what it asks for, and a copy with the disk filled in, where what this machine's QEMU does
# not have is replaced; each repair is told. The person's file is only read.

# shellcheck disable=SC2016  # a name in the file, not ours to expand
PLACEHOLDER='${PATH_TO_VM_DISK_FILE}'
KVM_SECONDS=10           # for a kernel to boot as far as its panic over a missing root

# xml FILE XPATH: the values found, one a line.
xml() { xmlstarlet sel -T -t -m "$2" -v . -n "$1" 2>/dev/null || true; }

# edit FILE ARGUMENT...: xmlstarlet's, whole or not at all.
edit() {
    xmlstarlet ed -P "${@:2}" "$1" >"$1.new"
    mv "$1.new" "$1"
}

# check_xml FILE: before anything is touched.
check_xml() {
    local words name
    [[ -f $1 && -r $1 ]] || fail 2 "no domain: $1 is not there, or is not readable" "--xml FILE names a libvirt domain's XML, such as vm/vm.xml"
    words=$(xmlstarlet val -e -w "$1" 2>&1) || fail 2 "$1 is not well-formed XML: $(head -n 1 <<<"$words")" "xmlstarlet val -e $1"
    name=$(xml "$1" /domain/name)
    [[ -n $name ]] || fail 2 "$1 is not the XML of a libvirt domain with a name" "compare it with vm/vm.xml"
    [[ $name =~ ^[A-Za-z0-9._-]+$ ]] || fail 2 "$1: the domain's name is \"$name\"" "letters, digits, . _ and - make a name"
    check_disk_place "$1"
    [[ -n $(xml "$1" /domain/devices/interface/@type) ]] ||
        fail 2 "$1: the domain has no <interface>, so nothing would reach its SSH" "compare it with vm/vm.xml"
}

check_disk_place() {
    local disk="/domain/devices/disk[source/@file='$PLACEHOLDER']" others type
    others=$(xml "$1" "/domain/devices/disk[not(@device='cdrom')]/source/@*" | grep -vxF "$PLACEHOLDER" | tr '\n' ' ' || true)
    case $(xml "$1" "$disk/source/@file" | wc -l) in
        1) ;;
        0) fail 2 "$1: no disk has file='$PLACEHOLDER', which is what run.sh fills in${others:+; there is: $others}" \
            "write <source file='$PLACEHOLDER'/> where the unpacked image belongs" ;;
        *) fail 2 "$1: several disks have file='$PLACEHOLDER', and there is one image" "leave it in one of them" ;;
    esac
    type=$(xml "$1" "$disk/driver/@type")
    [[ ${type:-raw} = raw ]] || fail 2 "$1: the disk's driver has type='$type', and the image is raw" "write type='raw' there"
}

# render_xml FROM COPY DISK UUID: UUID is taken where the file has none.
render_xml() {
    cp "$1" "$2"
    chmod u+w "$2"
    edit "$2" -u "/domain/devices/disk/source/@file[.='$PLACEHOLDER']" -v "$3"
    [[ -n $(xml "$2" /domain/uuid) ]] || edit "$2" -s /domain -t elem -n uuid -v "$4"
    : >"$2.repairs"
    repair_emulator "$2"
    repair_accelerator "$2"
    repair_machine "$2"
    repair_graphics "$2"
    repair_video "$2"
}

# repaired COPY WORDS: shown after the step, and kept beside the copy.
repaired() { printf '%s\n' "$2" | tee -a "$1.repairs"; }

# A path of another distribution, such as /usr/libexec/qemu-kvm: libvirt finds its own.
repair_emulator() {
    local emulator
    emulator=$(xml "$1" /domain/devices/emulator)
    [[ -n $emulator && ! -x $emulator ]] || return 0
    edit "$1" -d /domain/devices/emulator
    repaired "$1" "emulator $emulator is not here: libvirt's own choice"
}

repair_accelerator() {
    local trouble mode
    if [[ $(xml "$1" /domain/@type) = kvm ]]; then
        trouble=$(kvm_trouble)
        [[ -n $trouble ]] || return 0
        edit "$1" -u /domain/@type -v qemu -d /domain/cpu
        repaired "$1" "type='kvm' -> 'qemu' (emulated, several times slower): $trouble"
    fi
    mode=$(xml "$1" /domain/cpu/@mode)
    if [[ $(xml "$1" /domain/@type) = qemu && $mode = host-* ]]; then
        edit "$1" -d /domain/cpu
        repaired "$1" "cpu mode='$mode' is left out: an emulated processor is never the host's"
    fi
}

# kvm_trouble: why KVM is not to be used, or nothing. /dev/kvm is no proof: nested, it can be there and hang every
# guest. So a kernel of this machine, where one is found, has to boot as far as its panic over a missing root.
kvm_trouble() {
    local kernel
    [[ -c ${KVM_DEVICE:-/dev/kvm} ]] || { echo "there is no /dev/kvm"; return; }
    grep -qwE 'vmx|svm' "${CPUINFO:-/proc/cpuinfo}" || { echo "the processor offers neither vmx nor svm"; return; }
    kernel=$(compgen -G '/boot/vmlinuz-*' | sort -V | tail -n 1 || true)
    [[ -z $kernel ]] || kernel_boots "$kernel" || echo "a guest did not boot with it in $KVM_SECONDS s"
}

kernel_boots() {
    { "${SUDO[@]}" timeout --kill-after=1 "$KVM_SECONDS" qemu-system-x86_64 -machine q35 -accel kvm -cpu host -m 512 \
        -nodefaults -no-user-config -display none -no-reboot -kernel "$1" -append 'console=ttyS0 panic=-1' \
        -serial stdio </dev/null 2>/dev/null || true; } | grep 'Kernel panic - not syncing: VFS' >/dev/null
}

# repair_machine COPY: newer QEMUs drop old boards. The next younger one is the most alike: from pc-q35-6.1 on, guests
# give their network cards other names.
repair_machine() {
    local machine instead
    machine=$(xml "$1" /domain/os/type/@machine)
    if [[ -z $machine ]] || capabilities "$1" >/dev/null 2>&1; then return 0; fi
    instead=$(younger_machine "$1" "$machine")
    if [[ -z $instead ]]; then case $machine in *q35*) instead=q35 ;; *) instead=pc ;; esac; fi
    edit "$1" -u /domain/os/type/@machine -v "$instead"
    capabilities "$1" >/dev/null ||
        fail 1 "this QEMU has neither the board $machine nor $instead" "qemu-system-x86_64 -machine help"
    repaired "$1" "machine $machine is not in this QEMU -> $instead"
}

# younger_machine COPY MACHINE: of its family, the first after it.
younger_machine() {
    local arch family=${2%-*}
    arch=$(xml "$1" /domain/os/type/@arch)
    virsh_ capabilities >"$1.capabilities"
    { xml "$1.capabilities" "//guest/arch[@name='${arch:-x86_64}']//machine"; echo "$2"; } |
        { grep -xE "$family-[0-9.]+" || true; } | sort -V | uniq | awk -v old="$2" 'found == 1 { print; found = 2 } !found && $0 == old { found = 1 }'
}

# capabilities COPY: what libvirt and QEMU offer for its type, processor and board.
capabilities() {
    local type arch machine options=()
    type=$(xml "$1" /domain/@type) arch=$(xml "$1" /domain/os/type/@arch) machine=$(xml "$1" /domain/os/type/@machine)
    [[ -z $machine ]] || options=(--machine "$machine")
    virsh_ domcapabilities --virttype "${type:-qemu}" --arch "${arch:-x86_64}" "${options[@]}"
}

# offered COPY XPATH
offered() {
    capabilities "$1" >"$1.capabilities"
    xml "$1.capabilities" "$2"
}

# repair_graphics COPY: SPICE, and what belongs to it, where QEMU is built without it.
repair_graphics() {
    local spice="/domain/devices/graphics[@type='spice']"
    [[ -n $(xml "$1" "$spice/@type") ]] || return 0
    if offered "$1" "//graphics/enum[@name='type']/value" | grep -x spice >/dev/null; then return 0; fi
    edit "$1" -d "/domain/devices/channel[@type='spicevmc']" -d "/domain/devices/redirdev[@type='spicevmc']" \
        -d "/domain/devices/audio[@type='spice']" -d "$spice/*" -d "$spice/@*[name() != 'type']" -u "$spice/@type" -v vnc
    repaired "$1" "graphics spice is not in this QEMU -> vnc; its channels are left out"
}

repair_video() {
    local model there instead
    model=$(xml "$1" /domain/devices/video/model/@type | sed -n 1p)
    [[ -n $model ]] || return 0
    there=$(offered "$1" "//video/enum[@name='modelType']/value")
    if grep -xF "$model" <<<"$there" >/dev/null; then return 0; fi
    instead=$(for choice in virtio vga bochs cirrus none; do grep -xF "$choice" <<<"$there" || true; done | sed -n 1p)
    edit "$1" -d "/domain/devices/video/model/@*[name() != 'type']" -d '/domain/devices/video/*[name() != "model"]' \
        -u /domain/devices/video/model/@type -v "${instead:-none}"
    repaired "$1" "video $model is not in this QEMU -> ${instead:-none}"
}
