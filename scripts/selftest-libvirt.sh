# shellcheck shell=bash disable=SC2034,SC2153,SC2154,SC2016,SC2317  # selftest reads it: its functions and its directory
# Tests of what --libvirt does, with a stand-in for virsh: the archive, the XML and its repairs, the network's range,
# the address, the host key, and that a domain of somebody else is left alone.

for part in libvirt disk-image domain-xml machine machine-ssh; do
    # shellcheck source=/dev/null
    source "$SCRIPTS/$part.sh"
done
mkdir -p "$MACHINE"
LIBVIRT=yes DEFINE=no VOLUMES=no SUDO=()
said() { if grep -qF -- "$1" out; then echo yes; else cat out; fi; }

archive libvirt-daemon-system libvirt-clients qemu-system-x86 dnsmasq-base xz-utils xmlstarlet iptables
expect what_it_needs_has_packages "dnsmasq-base libvirt-clients libvirt-daemon-system qemu-system-x86 xmlstarlet xz-utils " \
    "$(packages_for dnsmasq virsh libvirt qemu xz xmlstarlet | tr '\n' ' ')"

# --- the archive ---------------------------------------------------------------------------------------------

# A disk of 8 MiB with a boot sector and, in its middle, something that is not empty.
truncate --size 8M disk.img
printf '\x55\xaa' | dd of=disk.img bs=1 seek=510 conv=notrunc status=none
printf 'kept' | dd of=disk.img bs=1 seek=4194304 conv=notrunc status=none
tar -cJf plain.tar.xz disk.img
tar --sparse -czf holes.tar.gz disk.img
expect an_archive_is_listed "8388608 disk.img" "$(list_archive plain.tar.xz listing && cat listing)"
expect the_size_of_a_sparse_file_is_the_disks "8388608 disk.img" "$(list_archive holes.tar.gz listing && cat listing)"
expect the_image_is_unpacked 0 "$(status_of unpack_image plain.tar.xz listing "$WORK/a.img")"
expect it_is_the_same same "$(cmp disk.img a.img && echo same)"
expect it_has_holes yes "$(if (( $(du -k a.img | cut -f 1) < 1024 )); then echo yes; else du -k a.img; fi)"
expect nothing_half_is_left no "$([[ -e a.img.half ]] && echo yes || echo no)"
head -c 400 plain.tar.xz >cut.tar.xz
expect an_archive_cut_short_is_refused 2 "$(status_of list_archive cut.tar.xz cut.listing)"
expect a_cut_archive_leaves_no_disk "1 no" "$(status_of unpack_image cut.tar.xz listing "$WORK/cut.img" | sed 's/[12]/1/') $([[ -e cut.img ]] && echo yes || echo no)"
expect a_raw_image_is_no_archive 2 "$(status_of list_archive disk.img raw.listing)"
expect it_is_told_apart yes "$(said 'it looks like a disk image itself')"
printf '10 readme.txt\n' >none; printf '10 a.img\n20 b.img\n' >two; printf '9999999999999999 disk.img\n' >vast
expect an_archive_without_an_image_is_refused 2 "$(status_of image_in none x.tar.xz)"
expect what_is_in_it_is_named yes "$(said readme.txt)"
expect several_images_are_refused 2 "$(status_of image_in two x.tar.xz)"
expect room_is_looked_for_first 2 "$(status_of unpack_image plain.tar.xz vast "$WORK/vast.img")"
expect without_room_nothing_is_written no "$([[ -e vast.img.half ]] && echo yes || echo no)"
printf 'QFI\xfb0000' >qcow2.img; truncate --size 1M qcow2.img empty.img
tar -cf qcow2.tar qcow2.img; tar -cf empty.tar empty.img
list_archive qcow2.tar listing.q && list_archive empty.tar listing.e
expect a_qcow2_image_is_refused 2 "$(status_of unpack_image qcow2.tar listing.q "$WORK/q.img")"
expect a_disk_that_does_not_boot_is_refused 2 "$(status_of unpack_image empty.tar listing.e "$WORK/e.img")"
expect neither_becomes_a_disk no "$([[ -e q.img || -e e.img ]] && echo yes || echo no)"
mark=$(archive_mark plain.tar.xz '')
cp plain.tar.xz copy.tar.xz; touch -d 2001-01-01 copy.tar.xz
expect a_copy_of_an_archive_has_its_sum "${mark%% *}" "$(archive_mark copy.tar.xz "$mark" | cut -d ' ' -f 1)"

# --- the XML ---------------------------------------------------------------------------------------------------

# capable MACHINES VIDEO GRAPHICS: virsh for a QEMU with these; it fails for other boards, as the real one does.
capable() {
    stand_in virsh 'machine=none; domain=qemu
while [ $# -gt 0 ]; do
    case $1 in --machine) machine=$2; shift ;; domcapabilities) seen=yes ;; capabilities)
        echo "<capabilities><guest><arch name=\"x86_64\">"; for m in '"$1"'; do echo "<machine>$m</machine>"; done
        echo "</arch></guest></capabilities>"; exit ;; esac
    shift
done
[ -n "$seen" ] || exit 1
case " '"$1"' " in *" $machine "*) ;; *) echo "error: the machine is not supported by emulator" >&2; exit 1 ;; esac
echo "<domainCapabilities><machine>$machine-9</machine><devices>"
echo "<graphics><enum name=\"type\">"; for v in '"$3"'; do echo "<value>$v</value>"; done; echo "</enum></graphics>"
echo "<video><enum name=\"modelType\">"; for v in '"$2"'; do echo "<value>$v</value>"; done; echo "</enum></video>"
echo "</devices></domainCapabilities>"'
}

cp "$SCRIPTS/../vm/vm.xml" vm.xml
render() { render_xml "${1:-vm.xml}" copy.xml "/disks/a & b's.img" 11111111-2222-3333-4444-555555555555 >/dev/null; }

expect our_own_xml_is_well 0 "$(status_of check_xml vm.xml)"
capable "pc-q35-3.1 q35" "vga qxl" "vnc spice"
render
expect the_placeholder_is_filled "/disks/a & b's.img" "$(xml copy.xml '/domain/devices/disk/source/@file')"
expect it_gets_an_identity 11111111-2222-3333-4444-555555555555 "$(xml copy.xml /domain/uuid)"
expect a_qemu_that_has_all_needs_no_repair "pc-q35-3.1 qxl " "$(xml copy.xml /domain/os/type/@machine) $(xml copy.xml //video/model/@type) $(cat copy.xml.repairs)"
expect the_persons_file_stays same "$(cmp "$SCRIPTS/../vm/vm.xml" vm.xml && echo same)"
capable "q35" "vga virtio" "vnc"
render
expect a_board_of_a_family_without_any_other_becomes_its_newest q35 "$(xml copy.xml /domain/os/type/@machine)"
capable "pc-q35-10.0 pc-q35-4.0.1 pc-q35-4.0 pc-q35-2.12 pc-i440fx-4.0 q35" "vga virtio" "vnc"
render
expect a_dropped_board_becomes_the_next_younger pc-q35-4.0 "$(xml copy.xml /domain/os/type/@machine)"
expect a_missing_card_becomes_one_that_is_there virtio "$(xml copy.xml //video/model/@type)"
expect what_only_that_card_had_goes "" "$(xml copy.xml //video/model/@vgamem)"
expect each_repair_is_told 2 "$(wc -l <copy.xml.repairs)"
sed "s|<graphics .*|<graphics type='spice'><listen type='none'/></graphics><channel type='spicevmc'/><emulator>/usr/libexec/none</emulator>|; s|<vcpu|<cpu mode='host-passthrough'/><vcpu|" vm.xml >spice.xml
render spice.xml
expect spice_becomes_vnc "vnc" "$(xml copy.xml //graphics/@type)"
expect its_channel_goes "unix" "$(xml copy.xml //channel/@type)"
expect a_foreign_emulator_goes "" "$(xml copy.xml //emulator)"
expect an_emulated_cpu_is_not_the_hosts "" "$(xml copy.xml /domain/cpu/@mode)"
sed "s/type='qemu'>/type='kvm'>/" vm.xml >kvm.xml
KVM_DEVICE=/dev/null CPUINFO=/dev/null render kvm.xml
expect kvm_without_a_processor_for_it_is_emulated qemu "$(xml copy.xml /domain/@type)"
expect the_reason_is_told yes "$(grep -q 'neither vmx nor svm' copy.xml.repairs && echo yes)"

sed 's/\${PATH_TO_VM_DISK_FILE}/\/mnt\/disk.img/' vm.xml >filled.xml
expect another_disk_path_is_refused 2 "$(status_of check_xml filled.xml)"
expect the_path_is_named yes "$(said /mnt/disk.img)"
sed "s/type='raw'/type='qcow2'/" vm.xml >other.xml
expect a_driver_for_another_format_is_refused 2 "$(status_of check_xml other.xml)"
sed 's/<domain /<network /; s/<\/domain>/<\/network>/' vm.xml >network.xml
expect another_kind_of_xml_is_refused 2 "$(status_of check_xml network.xml)"
printf '<domain><name>a</domain>' >broken.xml
expect broken_xml_is_refused 2 "$(status_of check_xml broken.xml)"
sed 's/<name>.*</<name>a b; c</' vm.xml >name.xml
expect a_name_that_is_no_word_is_refused 2 "$(status_of check_xml name.xml)"

# --- the network -----------------------------------------------------------------------------------------------

expect a_range_from_a_netmask 192.168.122.0/24 "$(network_range "$SCRIPTS/../vm/default-network.xml")"
expect a_range_with_odd_bits 10.1.16.0/20 "$(network_of 10.1.31.7 20)"
stand_in ip 'case "$*" in *match*) echo "default via 192.0.2.1 dev eth0" ;; *root*) echo "192.168.122.0/24 dev virbr0 proto kernel" ;; esac'
expect its_own_route_is_no_collision 0 "$(status_of refuse_collision "$SCRIPTS/../vm/default-network.xml")"
stand_in ip 'case "$*" in *match*) echo "192.168.0.0/16 dev tun0" ;; esac'
expect a_collision_is_refused 2 "$(status_of refuse_collision "$SCRIPTS/../vm/default-network.xml")"
expect it_says_with_what yes "$(said '192.168.0.0/16 dev tun0')"

stand_in iptables 'case $1 in -S) cat rules ;; *) echo "$*" >>iptables.calls ;; esac'
printf -- '-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j LIBVIRT_FWO\n' >rules
open_way_out virbr0
expect rules_of_libvirt_suffice no "$([[ -e iptables.calls ]] && echo yes || echo no)"
sed -i /LIBVIRT/d rules
open_way_out virbr0
expect else_the_way_out_is_opened 2 "$(grep -c '^-I DOCKER-USER' iptables.calls)"
close_way_out
expect and_closed_again 2 "$(grep -c '^-D DOCKER-USER' iptables.calls)"

# --- the address -----------------------------------------------------------------------------------------------

DOMAIN=vm
answers() { stand_in virsh "case \"\$*\" in $1 esac; exit 1"; }
table() { echo "echo ' vnet0      52:54:00:C0:E9:B1    ipv4         $1/24'; exit 0 ;;"; }
stand_in ip "echo '192.168.122.9 dev virbr0 lladdr 52:54:00:c0:e9:b1 STALE'; echo '192.168.122.8 dev virbr0 lladdr 52:54:00:00:00:01 STALE'"
found() { addresses 52:54:00:c0:e9:b1 | tr '\n' ' '; }
answers "*lease*) $(table 192.168.122.5) *agent*) $(table 192.168.122.6)"
expect a_lease_goes_first "192.168.122.5 192.168.122.6 192.168.122.9 " "$(found)"
answers ""
expect a_neighbour_is_found_by_its_mac "192.168.122.9 " "$(found)"
stand_in ip "echo '192.168.122.9 dev virbr0 FAILED'"
expect a_silent_machine_has_no_address "" "$(found)"

no_ssh_there() (
    MACHINE_WAIT=1
    speaks_ssh() { false; }
    wait_for_ssh
)
answers "*domstate*) echo running; exit 0 ;; *dumpxml*) cat vm.xml; exit 0 ;;"
expect waiting_for_an_address_ends 1 "$(status_of no_ssh_there)"
expect it_says_what_was_tried yes "$(said 'its network gave no lease to 52:54:00:c0:e9:b1, no guest agent answered')"
answers "*domstate*) echo running; exit 0 ;; *dumpxml*) cat vm.xml; exit 0 ;; *lease*) $(table 192.168.122.5)"
expect waiting_for_ssh_ends 1 "$(status_of no_ssh_there)"
expect it_says_at_which_address yes "$(said 'has the address 192.168.122.5, and no SSH answers there')"
answers "*domstate*) echo shut off; exit 0 ;; *dumpxml*) cat vm.xml; exit 0 ;;"
expect a_machine_that_ended_is_not_waited_for 1 "$(status_of no_ssh_there)"
expect its_state_is_told yes "$(said 'does not run any more (it is shut off)')"

# --- the host key ----------------------------------------------------------------------------------------------

stand_in ip 'case "$*" in *route*) echo "192.168.122.9 dev virbr0 src 192.168.122.1" ;; *neigh*) echo "192.168.122.9 lladdr 52:54:00:c0:e9:b1 REACHABLE" ;; esac'
expect a_machine_on_our_bridge_is_vouched_for 0 "$(status_of on_bridge 192.168.122.9 virbr0 52:54:00:c0:e9:b1)"
expect another_mac_address_is_not 1 "$(status_of on_bridge 192.168.122.9 virbr0 52:54:00:00:00:01)"
stand_in ip 'case "$*" in *route*) echo "192.168.122.9 via 192.0.2.1 dev virbr0" ;; *neigh*) echo "192.168.122.9 lladdr 52:54:00:c0:e9:b1" ;; esac'
expect a_machine_behind_a_router_is_not 1 "$(status_of on_bridge 192.168.122.9 virbr0 52:54:00:c0:e9:b1)"
for key in one two three; do ssh-keygen -q -t ed25519 -N '' -f "host-$key"; done
rsa() { echo "ssh-rsa AAAA$1"; }
cut -d ' ' -f 1,2 host-one.pub >one; cut -d ' ' -f 1,2 host-two.pub >two
{ cat one; rsa 1; } >one-and-more
expect the_key_on_file_is_taken 0 "$(status_of same_keys one one-and-more)"
expect a_key_fewer_is_taken 0 "$(status_of same_keys one-and-more one)"
{ cat two; rsa 1; } >one-changed
expect a_changed_key_is_refused 1 "$(status_of same_keys one-and-more one-changed)"
rsa 1 >only-rsa
expect nothing_in_common_is_refused 1 "$(status_of same_keys one only-rsa)"
sed 's/^/192.168.122.5 /' one >"$MACHINE/known_hosts"; cp one "$MACHINE/scanned"
compare_host_keys 192.168.122.77
expect a_new_address_keeps_the_key "192.168.122.77 $(<one)" "$(<"$MACHINE/known_hosts")"
cp two "$MACHINE/scanned"
expect another_key_stops 1 "$(status_of compare_host_keys 192.168.122.77)"
expect both_fingerprints_are_shown "yes yes" "$(said "$(ssh-keygen -lf host-one.pub | cut -d ' ' -f 2)") $(said "$(ssh-keygen -lf host-two.pub | cut -d ' ' -f 2)")"
expect the_file_stays "192.168.122.77 $(<one)" "$(<"$MACHINE/known_hosts")"

# --- whose domain it is ------------------------------------------------------------------------------------------

XML=vm.xml
answers '*domuuid*) echo aaaa; exit 0 ;; *domstate*) echo running; exit 0 ;; *) echo "$*" >>virsh.calls; exit 0 ;;'
rm -f "$MACHINE/domain"
expect somebodys_domain_is_refused 2 "$(status_of refuse_other_domain)"
echo 'vm bbbb' >"$MACHINE/domain"
expect one_that_took_our_name_is_refused_too 2 "$(status_of refuse_other_domain)"
expect and_down_leaves_it "0 no" "$(status_of end_domain) $([[ -e virsh.calls ]] && echo yes || echo no)"
echo 'vm aaaa' >"$MACHINE/domain"
expect ours_is_known 0 "$(status_of refuse_other_domain)"
SHUTDOWN_WAIT=0
expect down_ends_ours 0 "$(status_of end_domain)"
expect politely_first "shutdown vm,destroy vm,undefine vm" "$(sed 's/.*system //' virsh.calls | paste -sd ,)"

rm -f "$MACHINE/domain"
printf '%s\n' "$WORK/vm.img" >"$MACHINE/disk"; touch vm.img.half
VOLUMES=yes take_machine_away 3>/dev/null
expect down_takes_half_a_disk_too no "$([[ -e vm.img.half || -d $MACHINE ]] && echo yes || echo no)"
