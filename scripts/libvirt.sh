# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# libvirt on this machine: virsh with the rights it needs, the daemons where no init system starts them, and the
# network that a domain asks for.

LIBVIRT_WAIT=30          # seconds until a started libvirt must answer
LIBVIRT_TOOLS=(ssh ssh-keygen ip iptables dnsmasq tar xz xmlstarlet virsh libvirt qemu)

# Without a terminal virsh asks nobody for a password, and looks for no polkit.
VIRSH=(setsid --wait virsh)  # with sudo in front where the person is not in the group libvirt

virsh_() { LC_ALL=C "${VIRSH[@]}" --quiet --connect qemu:///system "$@"; }

libvirt_answers() { has virsh && timeout 20 "${VIRSH[@]}" --quiet --connect qemu:///system uri >/dev/null 2>&1; }

choose_virsh() {
    VIRSH=(setsid --wait virsh)
    libvirt_answers && return 0
    [[ ${SUDO[0]:-} = sudo ]] || return 1
    ask_sudo "talking to libvirt, which your user may not (group libvirt)"
    VIRSH=(sudo -n setsid --wait virsh)
    libvirt_answers
}

# prepare_libvirt: afterwards virsh_ works.
prepare_libvirt() {
    need "Install" "${LIBVIRT_TOOLS[@]}"
    choose_virsh || start_libvirt
    say "$(printf '  %sok%s    libvirt %s, %s' "$GREEN" "$PLAIN" "$(virsh --version)" "$(qemu-system-x86_64 --version | sed -n '1s/ (.*//p')")"
}

start_libvirt() {
    ask_sudo "starting libvirt"
    step "Start libvirt" libvirtd start_daemons
    choose_virsh || fail 1 "libvirt runs but does not answer $(id -un)" "virsh --connect qemu:///system uri"
}

# One daemon for all, or a daemon for each task: what this release of libvirt was installed as.
daemons() { if has_daemon libvirtd; then echo libvirtd; else echo virtqemud virtnetworkd virtstoraged virtnodedevd; fi; }

start_daemons() {
    local daemon
    for daemon in virtlogd $(daemons); do
        if [[ -d /run/systemd/system ]]; then
            "${SUDO[@]}" systemctl start "$daemon.socket"
            note "by systemd"
        elif ! daemon_runs "$daemon"; then
            launch_daemon "$daemon"
            note "by hand, for there is no init system"
        fi
    done
    changed "started libvirt"
    wait_for_libvirt
}

# daemon_runs NAME: what has died and waits to be collected has no command line any more.
daemon_runs() {
    local process
    for process in $(grep -lxs "$1" /proc/[0-9]*/comm || true); do
        [[ -z $(tr -d '\0' <"${process%comm}cmdline" 2>/dev/null) ]] || return 0
    done
    return 1
}

# Detached for good, with none of our descriptors (the lock among them).
launch_daemon() {
    # shellcheck disable=SC2016  # the inner shell expands it
    "${SUDO[@]}" env PATH="$PATH:/usr/sbin:/sbin" setsid sh -c '
        for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done
        exec "$1" --daemon </dev/null' sh "$1"
}

wait_for_libvirt() {
    local waited
    for (( waited = 0; waited < LIBVIRT_WAIT; waited++ )); do
        "${SUDO[@]}" timeout 5 setsid --wait virsh --connect qemu:///system uri && return 0
        echo "waited $waited/$LIBVIRT_WAIT s for libvirt"
        sleep 1
    done
    fail 1 "libvirt did not start" "start it by hand and read what it says: ${EUID_HINT}$(daemons)"
}

# --- the network -------------------------------------------------------------------------------------------

network_active() { [[ $(virsh_ net-info "$1" 2>/dev/null | awk '$1 == "Active:" { print $2 }') = yes ]]; }

# start_network NAME: defined where it is the missing `default`, and started.
start_network() {
    local definition=$STATE/libvirt/network.xml
    if network_active "$1"; then note "active"; open_way_out "$(bridge_of "$1")"; return 0; fi
    if ! virsh_ net-info "$1" >/dev/null 2>&1; then
        [[ $1 = default ]] || fail 2 "libvirt has no network $1, which the domain asks for" "${EUID_HINT}virsh net-list --all"
        refuse_collision vm/default-network.xml
        virsh_ net-define vm/default-network.xml
        changed "defined libvirt's network default"
    fi
    virsh_ net-dumpxml "$1" >"$definition"
    refuse_collision "$definition"
    virsh_ net-start "$1"
    changed "started libvirt's network $1"
    note "started, bridge $(bridge_of "$1")"
    open_way_out "$(bridge_of "$1")"
}

bridge_of() { virsh_ net-info "$1" | awk '$1 == "Bridge:" { print $2 }'; }

# refuse_collision NETWORK-XML: its range must lead nowhere else yet.
refuse_collision() {
    local range taken bridge
    bridge=$(xml "$1" /network/bridge/@name)
    range=$(network_range "$1")
    [[ -n $range ]] || return 0
    taken=$( { ip -4 route show root "$range"; ip -4 route show match "$range"; } |
        awk -v bridge="$bridge" '$1 != "default" && $0 !~ ("dev " bridge "( |$)") { print $1, $2, $3; exit }')
    [[ -z $taken ]] ||
        fail 2 "libvirt's network would use $range, and this machine reaches that already: $taken" \
            "give the network another range: ${EUID_HINT}virsh net-edit $(xml "$1" /network/name) (ip address and dhcp range)"
}

# network_range NETWORK-XML: ADDRESS/PREFIX of its IPv4 network.
network_range() {
    local own="/network/ip[not(@family='ipv6')]" address prefix mask octet
    address=$(xml "$1" "$own/@address" | sed -n 1p)
    prefix=$(xml "$1" "$own/@prefix" | sed -n 1p)
    mask=$(xml "$1" "$own/@netmask" | sed -n 1p)
    [[ -n $address ]] || return 0
    if [[ -z $prefix ]]; then
        prefix=0
        for octet in ${mask//./ }; do
            while (( octet > 0 )); do prefix=$(( prefix + (octet & 1) )); octet=$(( octet >> 1 )); done
        done
    fi
    network_of "$address" "$prefix"
}

# network_of ADDRESS PREFIX: with the host's bits cleared, as `ip route` wants it.
network_of() {
    local a b c d bits
    IFS=. read -r a b c d <<<"$1"
    bits=$(( ((a << 24) + (b << 16) + (c << 8) + d) & (0xffffffff << (32 - $2)) ))
    echo "$(( bits >> 24 & 255 )).$(( bits >> 16 & 255 )).$(( bits >> 8 & 255 )).$(( bits & 255 ))/$2"
}

# open_way_out BRIDGE: Docker's firewall drops what it does not know. libvirt's own rules of iptables go before it;
# those of newer releases (nftables) cannot, and the guests would have no way out. DOCKER-USER is the place for such.
open_way_out() {
    local rules
    rules=$("${SUDO[@]}" iptables -S 2>/dev/null || true)
    [[ -n $1 && $rules = *"-P FORWARD DROP"* && $rules = *"-N DOCKER-USER"* && $rules != *"-A FORWARD -j LIBVIRT_FWO"* ]] || return 0
    [[ $rules != *"-A DOCKER-USER -i $1 -j ACCEPT"* ]] || return 0
    "${SUDO[@]}" iptables -I DOCKER-USER -o "$1" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    "${SUDO[@]}" iptables -I DOCKER-USER -i "$1" -j ACCEPT
    echo "$1" >"$STATE/libvirt/way-out"
    changed "let $1 through Docker's firewall (chain DOCKER-USER)"
}

close_way_out() {
    local bridge
    [[ -s $STATE/libvirt/way-out ]] || return 0
    bridge=$(<"$STATE/libvirt/way-out")
    "${SUDO[@]}" iptables -D DOCKER-USER -i "$bridge" -j ACCEPT || true
    "${SUDO[@]}" iptables -D DOCKER-USER -o "$bridge" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT || true
    rm -f "$STATE/libvirt/way-out"
}
