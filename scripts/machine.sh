# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# The virtual machine of --libvirt: a domain made from the person's disk image and XML; scripts/machine-ssh.sh reaches it.
# A domain that run.sh did not create is never touched. What is known of ours stands in $MACHINE:
#   domain NAME UUID (written before it is created)   disk PATH (written before it is unpacked)   source, its archive
#   domain.xml, as it was created   known_hosts, the pinned host key   image, xml, key: what the person named

MACHINE=$STATE/libvirt
SHUTDOWN_WAIT=60         # seconds for a machine to turn itself off
IMAGE_NAME=debian10-ssh.img.tar.xz
KEY_NAME=rsa

IMAGE='' XML='' DOMAIN='' DISK=''

# create_machine: afterwards the domain runs; it boots while the images are built.
create_machine() {
    mkdir -p "$MACHINE"
    prepare_libvirt
    choose_files
    prepare_key
    ask_passphrase
    check_xml "$XML"
    DOMAIN=$(xml "$XML" /domain/name)
    refuse_other_domain
    ask_sudo "preparing libvirt's network and the disk, which QEMU must be able to open"
    choose_disk
    [[ -n $(present_disk) ]] || step "Look into $IMAGE" look look_into_archive
    prepare_network
    [[ -n $(present_disk) ]] || unpack_disk
    step "Domain $DOMAIN" domain make_domain
    remember_files
    tell_about_domain
}

# require_machine: for the verbs after the first run.
require_machine() {
    [[ -s $MACHINE/domain ]] || fail 1 "there is no machine of --libvirt here" "$0 --libvirt --image $IMAGE_NAME --key $KEY_NAME"
    prepare_libvirt
    choose_files
    read -r DOMAIN _ <"$MACHINE/domain"
    [[ $(machine_state) = running ]] || fail 1 "the domain $DOMAIN does not run (it is $(machine_state))" "$0 --libvirt starts it"
    reach_machine
}

# --- what the person named, now or in an earlier run ---------------------------------------------------------

choose_files() {
    XML=$(named xml "$XML_OPTION" vm/vm.xml)
    IMAGE=$(named image "$IMAGE_OPTION" "$IMAGE_NAME")
    KEY_OPTION=$(named key "$KEY_OPTION" "$KEY_NAME")
    KEY=$KEY_OPTION
    check_key_file
}

remember_files() {
    printf '%s\n' "$XML" >"$MACHINE/xml"
    printf '%s\n' "$IMAGE" >"$MACHINE/image"
    printf '%s\n' "$KEY" >"$MACHINE/key"
}

# named WHAT OPTION DEFAULT
named() {
    local earlier=''
    [[ ! -s $MACHINE/$1 ]] || earlier=$(<"$MACHINE/$1")
    echo "${2:-${earlier:-$3}}"
}

# --- the disk ------------------------------------------------------------------------------------------------

# choose_disk: where the disk is, or will be.
choose_disk() {
    DISK=$(cat "$MACHINE/disk" 2>/dev/null || true)
    if [[ -n $(present_disk) ]]; then check_source; return 0; fi
    [[ $(machine_state) != running ]] ||
        fail 1 "the domain $DOMAIN runs, and its disk $DISK is gone" "$0 down --libvirt --volumes, then $AGAIN"
    [[ -z $DISK ]] || "${SUDO[@]}" rm -f "$DISK.half"
    DISK=$(disk_directory)/$DOMAIN.img
    ! root_test -e "$DISK" ||
        fail 2 "$DISK is there already, and run.sh did not unpack it; it is left alone" "move it away, or TOOLBOX_VM_DIR=/another/place $AGAIN"
    DISK_SUDO=()
    [[ -w $(dirname "$DISK") ]] || DISK_SUDO=("${SUDO[@]}")
    [[ -f $IMAGE ]] || fail 2 "no disk image: $IMAGE does not exist or is no file" "--image FILE names the archive with the disk, such as $IMAGE_NAME"
}

# disk_directory: QEMU runs as a user of its own and must get there.
disk_directory() {
    local dir
    dir=$(setting TOOLBOX_VM_DIR '')
    if [[ -z $dir ]]; then
        if qemu_reaches "$PWD/$MACHINE"; then dir=$PWD/$MACHINE; else dir=/var/lib/libvirt/images; fi
    fi
    [[ -d $dir ]] || fail 2 "TOOLBOX_VM_DIR: $dir is no directory" "mkdir -p $dir"
    realpath "$dir"
}

root_test() { "${SUDO[@]}" test "$@"; }

present_disk() { if [[ -n $DISK && $DISK = "$(cat "$MACHINE/disk" 2>/dev/null)" ]] && root_test -f "$DISK"; then echo "$DISK"; fi; }

# qemu_reaches DIRECTORY: homes are often closed to others.
qemu_reaches() {
    local user
    user=$("${SUDO[@]}" sed -nE 's/^ *user *= *"\+?([^"]*)".*/\1/p' /etc/libvirt/qemu.conf 2>/dev/null | tail -n 1)
    [[ -n $user ]] || user=$( { getent passwd libvirt-qemu qemu || true; } | sed -n '1s/:.*//p')
    [[ -z $user ]] || "${SUDO[@]}" setpriv --reuid "$user" --clear-groups test -x "$1"
}

# check_source: a disk from another archive is not taken for this one's.
check_source() {
    local mark now
    mark=$(cat "$MACHINE/source" 2>/dev/null || true)
    [[ -f $IMAGE && -n $mark ]] || return 0
    now=$(archive_mark "$IMAGE" "$mark")
    [[ ${now%% *} = "${mark%% *}" ]] ||
        fail 2 "$DISK was unpacked from another archive than $IMAGE" "$0 down --libvirt --volumes forgets that disk, with what the machine has written to it"
}

look_into_archive() {
    list_archive "$IMAGE" "$MACHINE/listing"
    local image
    image=$(image_in "$MACHINE/listing" "$IMAGE")
    check_room "${image%% *}" "$(dirname "$DISK")"
    archive_mark "$IMAGE" '' >"$MACHINE/source"
    note "${image#* }, $(mib "${image%% *}") MiB"
}

unpack_disk() {
    printf '%s\n' "$DISK" >"$MACHINE/disk"
    rm -f "$MACHINE/known_hosts"           # another disk is another machine
    step "Unpack to $(shown "$DISK")" unpack unpack_image "$IMAGE" "$MACHINE/listing" "$DISK"
}

shown() { echo "${1#"$PWD"/}"; }

# --- the domain ----------------------------------------------------------------------------------------------

machine_state() {
    local state
    state=$(virsh_ domstate "$DOMAIN" 2>/dev/null | sed -n 1p)
    echo "${state:-absent}"
}

uuid_there() { virsh_ domuuid "$1" 2>/dev/null | tr -d ' \n' || true; }

refuse_other_domain() {
    local name='' uuid='' there
    [[ ! -s $MACHINE/domain ]] || read -r name uuid <"$MACHINE/domain"
    if [[ -n $name && $name != "$DOMAIN" && $(uuid_there "$name") = "$uuid" ]]; then
        fail 2 "the domain $name of an earlier run is still there, and $XML describes $DOMAIN" "$0 down --libvirt"
    fi
    there=$(uuid_there "$DOMAIN")
    [[ -z $there || $name/$uuid = "$DOMAIN/$there" ]] ||
        fail 2 "libvirt has a domain $DOMAIN already, which run.sh did not create; it is left alone" \
            "to deploy to it: $0 --host root@ADDRESS --key $KEY, with the address that ${EUID_HINT}virsh domifaddr $DOMAIN shows; or give the XML another name"
}

# prepare_network: what the first interface asks for; a bridge of the person's own is theirs.
prepare_network() {
    local network
    network=$(xml "$XML" "/domain/devices/interface[@type='network'][1]/source/@network")
    [[ -n $network ]] || return 0
    step "Network $network" network start_network "$network"
}

make_domain() {
    local state copy=$MACHINE/domain.xml uuid
    state=$(machine_state)
    uuid=$(machine_uuid)
    render_xml "$XML" "$copy.new" "$DISK" "$uuid"
    rm -f "$MACHINE/stale"
    case $state in
        absent | "shut off")
            mv "$copy.new" "$copy"
            mv "$copy.new.repairs" "$copy.repairs"
            printf '%s %s\n' "$DOMAIN" "$uuid" >"$MACHINE/domain"
            start_domain "$state" "$copy"
            changed "started the domain $DOMAIN" ;;
        running)
            cmp -s "$copy" "$copy.new" || : >"$MACHINE/stale"
            [[ $DEFINE = no ]] || virsh_ define "$copy"
            note "runs already" ;;
        paused) virsh_ resume "$DOMAIN"; note "was paused, goes on" ;;
        *)  fail 1 "the domain $DOMAIN is $state" "${EUID_HINT}virsh domstate --reason $DOMAIN" ;;
    esac
    rm -f "$copy.new"*
}

# machine_uuid: the XML's own, else the one that ours got.
machine_uuid() {
    local uuid name
    uuid=$(xml "$XML" /domain/uuid)
    [[ -n $uuid || ! -s $MACHINE/domain ]] || { read -r name uuid <"$MACHINE/domain"; [[ $name = "$DOMAIN" ]] || uuid=''; }
    echo "${uuid:-$(</proc/sys/kernel/random/uuid)}"
}

start_domain() {
    local words
    if [[ $DEFINE = yes || $1 = "shut off" ]]; then
        virsh_ define "$2"
        words=$(virsh_ start "$DOMAIN" 2>&1) || refused_domain "$words"
        note "defined and started"
    else
        words=$(virsh_ create "$2" 2>&1) || refused_domain "$words"
        note "created, transient"
    fi
}

refused_domain() {
    printf '%s\n' "$1"
    fail 1 "libvirt does not start $DOMAIN: $(grep -m 1 '^error: [^F]' <<<"$1" | cut -c 8-)" \
        "read $MACHINE/domain.xml and ${EUID_HINT}tail /var/log/libvirt/qemu/$DOMAIN.log"
}

# tell_about_domain: each repair, whenever it was made.
tell_about_domain() {
    local line
    if [[ -s $MACHINE/domain.xml.repairs ]]; then
        say "        repaired in $MACHINE/domain.xml, and $XML is as it was:"
        while IFS= read -r line; do say "          $line"; done <"$MACHINE/domain.xml.repairs"
    fi
    [[ ! -e $MACHINE/stale ]] ||
        warn "$DOMAIN runs as it was created, and $XML says something else now; $0 down --libvirt and $0 --libvirt make it so"
}

# --- its end -------------------------------------------------------------------------------------------------

# take_machine_away: shuts down and removes the domain that run.sh created; the disk goes with --volumes only.
take_machine_away() {
    if [[ -s $MACHINE/domain ]]; then
        read -r DOMAIN _ <"$MACHINE/domain"
        end_domain_where_libvirt_is
    fi
    if [[ $VOLUMES = yes && -d $MACHINE ]]; then
        ask_sudo "removing the machine's disk"
        step "The machine's disk" down-disk remove_disk
    fi
}

end_domain_where_libvirt_is() {
    ask_sudo "taking the domain $DOMAIN away"
    close_way_out
    has virsh || return 0
    choose_virsh || start_libvirt
    step "Domain $DOMAIN" down-domain end_domain
}

end_domain() {
    local uuid
    read -r _ uuid <"$MACHINE/domain"
    if [[ $(uuid_there "$DOMAIN") != "$uuid" ]]; then
        note "$(if [[ -z $(uuid_there "$DOMAIN") ]]; then echo "was gone"; else echo "left alone: it is not run.sh's"; fi)"
        return 0
    fi
    [[ $VOLUMES = yes ]] || turn_off
    [[ $(machine_state) = absent || $(machine_state) = "shut off" ]] || virsh_ destroy "$DOMAIN"
    [[ $(machine_state) = absent ]] || virsh_ undefine "$DOMAIN"
    note "taken away$([[ $VOLUMES = yes ]] || echo "; its disk stays, $(shown "$(<"$MACHINE/disk")")")"
}

# turn_off: as from its power button, so that nothing that it wrote is lost.
turn_off() {
    local began=$SECONDS
    virsh_ shutdown "$DOMAIN" || return 0
    while [[ $(machine_state) = running ]] && (( SECONDS - began < SHUTDOWN_WAIT )); do
        echo "waited $(( SECONDS - began ))/$SHUTDOWN_WAIT s for the machine to turn itself off"
        sleep 1
    done
}

remove_disk() {
    local disk
    disk=$(cat "$MACHINE/disk" 2>/dev/null || true)
    [[ -z $disk ]] || "${SUDO[@]}" rm -f "$disk" "$disk.half"
    rm -rf "$MACHINE"
    note "removed"
}
