# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# Reaching the machine of --libvirt: its address, its SSH, and its host key, which is read once over this machine's own
# bridge and is strict from then on.

MACHINE_WAIT=900         # seconds for a boot until SSH answers; emulated machines on a busy host are slow

# reach_machine: afterwards HOST is its address, and its host key is the one on file.
reach_machine() {
    step "SSH of $DOMAIN" machine wait_for_ssh
    HOST_NAME=$(<"$MACHINE/address") HOST_PORT=22
    HOST=root@$HOST_NAME
    COMPOSE_FILES=(-f compose.yaml -f vm/host-network.yaml)
    step "Host key of $HOST_NAME" hostkey read_host_keys "$HOST_NAME"
    if [[ -s $MACHINE/known_hosts ]]; then compare_host_keys "$HOST_NAME"; else pin_host_keys "$HOST_NAME"; fi
}

# machine_ssh [COMMAND...]
machine_ssh() {
    local known=()
    [[ ! -s $MACHINE/known_hosts ]] || known=(-o UserKnownHostsFile="$MACHINE/known_hosts" -o GlobalKnownHostsFile=/dev/null)
    ssh -i "$KEY" -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o LogLevel=ERROR "${known[@]}" "$HOST" "$@"
}

# --- its address ---------------------------------------------------------------------------------------------

# wait_for_ssh: leaves the address in $MACHINE/address.
wait_for_ssh() {
    local began=$SECONDS mac address seen=''
    mac=$(domain_mac)
    rm -f "$MACHINE/address"
    while true; do
        [[ $(machine_state) = running ]] || machine_ended
        for address in $(addresses "$mac"); do
            seen=$address
            if speaks_ssh "$address"; then
                echo "$address" >"$MACHINE/address"
                note "$address"
                return
            fi
        done
        (( SECONDS - began < MACHINE_WAIT )) || break
        echo "waited $(( SECONDS - began ))/$MACHINE_WAIT s, $(if [[ -n $seen ]]; then echo "$seen has no SSH yet"; else echo "no address yet"; fi)"
        sleep 2
    done
    no_ssh "$seen" "$mac"
}

domain_mac() { live_xml '/domain/devices/interface[1]/mac/@address' | tr '[:upper:]' '[:lower:]'; }

live_xml() {
    virsh_ dumpxml "$DOMAIN" >"$MACHINE/live.xml"
    xml "$MACHINE/live.xml" "$1"
}

# addresses MAC: of IPv4, the likeliest first: the network's lease, the guest's own word, this machine's neighbours.
addresses() {
    { for source in lease agent arp; do
          timeout 10 "${VIRSH[@]}" --quiet --connect qemu:///system domifaddr "$DOMAIN" --source "$source" 2>/dev/null || true
      done | awk -v mac="$1" 'tolower($2) == mac && $3 == "ipv4" { sub("/.*", "", $4); print $4 }'
      ip -4 neigh show | awk -v mac="$1" '/lladdr/ && tolower($0) ~ ("lladdr " mac) && !/FAILED/ { print $1 }'
    } | awk '!seen[$0]++'
}

# speaks_ssh ADDRESS
# shellcheck disable=SC2016  # the inner bash expands them
speaks_ssh() {
    timeout 15 bash -c 'exec 3<>"/dev/tcp/$1/22" && IFS= read -r -t 12 word <&3 && [[ $word = SSH-2.0-* ]]' bash "$1" 2>/dev/null
}

machine_ended() {
    "${SUDO[@]}" tail -n 5 "/var/log/libvirt/qemu/$DOMAIN.log" 2>/dev/null || true
    fail 1 "the domain $DOMAIN does not run any more (it is $(machine_state))" "${EUID_HINT}tail /var/log/libvirt/qemu/$DOMAIN.log, then $AGAIN"
}

no_ssh() {
    local look="look at the machine: ${EUID_HINT}virsh screenshot $DOMAIN screen.ppm, or ${EUID_HINT}virsh console $DOMAIN (Ctrl-] leaves it)"
    [[ -z $1 ]] || fail 1 "$DOMAIN has the address $1, and no SSH answers there on port 22 after $MACHINE_WAIT s" "$look"
    fail 1 "$DOMAIN has no address after $MACHINE_WAIT s: its network gave no lease to $2, no guest agent answered, no neighbour has that address" "$look"
}

# --- its host key --------------------------------------------------------------------------------------------

# read_host_keys ADDRESS: "TYPE KEY" lines into $MACHINE/scanned. Who answers must be the machine itself: it is next to
# us on the bridge of its network, and has the domain's own MAC address.
read_host_keys() {
    local bridge mac
    bridge=$(live_xml '/domain/devices/interface[1]/source/@bridge')
    mac=$(domain_mac)
    ssh-keyscan -T 30 "$1" 2>/dev/null | cut -d ' ' -f 2- | sort -u >"$MACHINE/scanned"
    [[ -s $MACHINE/scanned ]] || fail 1 "$1 tells no host key" "ssh-keyscan $1"
    rm -f "$MACHINE/witness"
    if [[ -n $bridge ]] && on_bridge "$1" "$bridge" "$mac"; then echo "$bridge $mac" >"$MACHINE/witness"; fi
}

on_bridge() {
    [[ " $(ip -4 route get "$1") " = *" dev $2 "* && " $(ip -4 route get "$1") " != *" via "* ]] &&
        ip -4 neigh show "$1" dev "$2" | grep -i "lladdr $3" >/dev/null
}

pin_host_keys() {
    local bridge mac
    if [[ ! -e $MACHINE/witness ]]; then
        warn "nobody vouches for the host key of $1, which is not next to this machine on a bridge: it must be in known_hosts"
        return 0
    fi
    sed "s/^/$1 /" "$MACHINE/scanned" >"$MACHINE/known_hosts"
    read -r bridge mac <"$MACHINE/witness"
    say "        the host key was read over $bridge, this machine's own bridge, from the domain's MAC address $mac;"
    say "        it is kept in $MACHINE/known_hosts, and another one will be refused:"
    fingerprints "$MACHINE/scanned" | while IFS= read -r line; do say "        $line"; done
}

# fingerprints FILE: of "TYPE KEY" lines
fingerprints() { sed 's/^/host /' "$1" | ssh-keygen -lf - | awk '{ print $2, $NF }' | sort -u; }

# compare_host_keys ADDRESS: of each type on file, the key must be that one; the address may be another by now.
compare_host_keys() {
    cut -d ' ' -f 2- "$MACHINE/known_hosts" | sort -u >"$MACHINE/pinned"
    same_keys "$MACHINE/pinned" "$MACHINE/scanned" ||
        fail 1 "the host key of $1 is not the one on file: on file $(only_in "$MACHINE/pinned" "$MACHINE/scanned"), now $(only_in "$MACHINE/scanned" "$MACHINE/pinned")" \
            "only if you know why the machine has new keys: rm $MACHINE/known_hosts, then $AGAIN"
    sed "s/^/$1 /" "$MACHINE/pinned" >"$MACHINE/known_hosts"
}

# only_in FILE OTHER: fingerprints of the keys that the other has not.
only_in() {
    grep -vxFf "$2" "$1" >"$MACHINE/differs" || true
    fingerprints "$MACHINE/differs" | paste -sd ,
}

# same_keys PINNED SCANNED: at least one key in common, and none of a pinned type that differs.
same_keys() {
    awk 'NR == FNR { pinned[$1] = $2; next }
         $1 in pinned { if (pinned[$1] == $2) same++; else other++ }
         END { exit !(same > 0 && other == 0) }' "$1" "$2"
}
