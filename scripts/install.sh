# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# Which programs this machine needs, and how Debian and Ubuntu install the missing ones. Nothing that is there
# already is touched, no foreign archive is added, and --no-install only tells.

APT_WAIT=600             # seconds to wait for another apt's lock

SUDO_KEEPER=''           # process that keeps sudo's password valid
SUDO=()                  # the prefix that makes a command root's; empty for root
find_sudo() {
    (( EUID != 0 )) || return 0
    if command -v sudo >/dev/null; then SUDO=(sudo -n); else SUDO=(false); fi
}

# ask_sudo WHY: asks for the password once, in the foreground, where it is needed.
ask_sudo() {
    (( EUID != 0 )) || return 0
    [[ ${SUDO[0]} = sudo ]] || fail 2 "$1 needs root, and there is no sudo here" "run $0 as root"
    sudo -n true 2>/dev/null && return 0
    [[ -t 0 ]] || fail 2 "$1 needs root, and sudo wants a password but there is no terminal" "run $0 as root"
    say "sudo is needed: $1"
    sudo -v || fail 2 "$1 needs root, and sudo refused" "run $0 as root"
    keep_sudo &
    SUDO_KEEPER=$!
}

# A long step must not outlive the password: the steps have no terminal to ask again.
keep_sudo() {
    trap - EXIT INT TERM HUP
    while sudo -n -v 2>/dev/null && sleep 50; do :; done
}

# is_debian: Debian, Ubuntu and what is made from them.
is_debian() {
    local id
    # shellcheck disable=SC1090,SC1091
    id=$(. "${OS_RELEASE:-/etc/os-release}" 2>/dev/null && echo " ${ID:-} ${ID_LIKE:-} ")
    [[ $id = *" debian "* || $id = *" ubuntu "* ]] && command -v apt-get >/dev/null
}

has() { command -v "$1" >/dev/null; }

# PATH of a plain user has no sbin, where Debian keeps daemons.
has_daemon() { has "$1" || [[ -x /usr/sbin/$1 || -x /sbin/$1 ]]; }

# installable PACKAGE: whether the configured archives offer it.
installable() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null; }

# package_for THING: the package that brings it in this release; archives with Compose v2 are preferred.
package_for() {
    local choices=()
    case $1 in
        docker)     choices=(docker-cli docker.io) ;;
        dockerd)    choices=(docker.io) ;;
        compose)    choices=(docker-compose-v2 docker-compose)
                    ! has_docker_ce || choices=(docker-compose-plugin) ;;
        ssh-keygen | ssh) choices=(openssh-client) ;;
        sshd)       choices=(openssh-server) ;;
        cc)         choices=(gcc) ;;
        c++)        choices=(g++) ;;
        libc-headers) choices=(libc6-dev) ;;
        ca-certificates) choices=(ca-certificates) ;;
        debian-keys) choices=(debian-archive-keyring) ;;
        chromedriver) choices=(chromium-driver chromium-chromedriver) ;;
        gpg)        choices=(gnupg) ;;
        ip)         choices=(iproute2) ;;
        dnsmasq)    choices=(dnsmasq-base) ;;      # without the service, which would take port 53
        virsh)      choices=(libvirt-clients) ;;
        libvirt)    choices=(libvirt-daemon-system) ;;
        qemu)       choices=(qemu-system-x86) ;;
        xz)         choices=(xz-utils) ;;
        compose-v2) choices=(docker-compose-v2 docker-compose)
                    ! has_docker_ce || choices=(docker-compose-plugin) ;;
        chromium)   choices=(chromium chromium-browser) ;;
        *)          choices=("$1") ;;
    esac
    local package
    for package in "${choices[@]}"; do
        installable "$package" && { echo "$package"; return 0; }
    done
    echo "${choices[-1]}"
}

# Docker's own packages and the distribution's exclude each other.
has_docker_ce() { dpkg-query -W -f '${Status}' docker-ce-cli 2>/dev/null | grep 'ok installed' >/dev/null; }

# present THING
present() {
    case $1 in
        dockerd)      has_daemon dockerd || engine_answers ;;
        compose)      find_compose ;;
        compose-v2)   timeout 20 docker compose version >/dev/null 2>&1 ;;
        ansible)      has ansible-playbook && [[ -d /usr/lib/python3/dist-packages/ansible_collections/community/docker ]] ;;
        python3-docker) /usr/bin/python3 -c 'import docker' 2>/dev/null ;;
        sshd)         has_daemon sshd ;;
        dnsmasq | iptables) has_daemon "$1" ;;
        libvirt)      has_daemon libvirtd || has_daemon virtqemud ;;
        qemu)         has qemu-system-x86_64 ;;
        libc-headers) [[ -e /usr/include/stdlib.h ]] ;;
        openssh-tests) [[ -e /usr/lib/openssh/regress/test-exec.sh ]] ;;
        softhsm2)     has softhsm2-util ;;
        gnupg)        has gpg && has gpg-agent ;;
        ca-certificates) [[ -s /etc/ssl/certs/ca-certificates.crt ]] ;;
        debian-keys)  [[ -d /usr/share/keyrings ]] && compgen -G '/usr/share/keyrings/debian-archive-*.gpg' >/dev/null ;;
        *)            has "$1" ;;
    esac
}

# missing THING...: those that are not there, one a line.
missing() {
    local thing
    for thing in "$@"; do
        present "$thing" || echo "$thing"
    done
}

# need LABEL THING...: makes all of them present, or ends with what the person has to do.
need() {
    local label=$1 things packages
    shift
    mapfile -t things < <(missing "$@")
    (( ${#things[@]} > 0 )) || return 0
    is_debian || fail 2 "missing on this machine: ${things[*]}" \
        "install them by hand (automatic installation knows Debian and Ubuntu only), then type $AGAIN again"
    if [[ $NO_INSTALL = yes ]]; then
        packages=$(packages_for "${things[@]}" | tr '\n' ' ')
        fail 2 "missing on this machine: ${things[*]}; --no-install forbids installing" \
            "${EUID_HINT}apt-get update && ${EUID_HINT}apt-get install ${packages% }"
    fi
    ask_sudo "installing ${things[*]}"
    step "$label: ${things[*]}" install apt_install_things "${things[@]}"
    mapfile -t things < <(missing "$@")
    (( ${#things[@]} == 0 )) || fail 1 "still missing after the installation: ${things[*]}" "see $LOGS/install.log"
}

# want LABEL THING...: the same for what can be done without; a warning names what is not to be had.
want() {
    local label=$1 things
    shift
    mapfile -t things < <(missing "$@")
    if (( ${#things[@]} > 0 )) && [[ $NO_INSTALL = no ]] && is_debian; then
        ask_sudo "installing ${things[*]}"
        step "$label: ${things[*]}" want install_each "${things[@]}"
        mapfile -t things < <(missing "$@")
    fi
    (( ${#things[@]} == 0 )) || warn "goes on without ${things[*]}, which cannot be had here"
}

install_each() {
    local thing
    for thing in "$@"; do
        # In a process of its own: `fail` ends it.
        ( apt_install_things "$thing" ) || echo "not installed: $thing"
    done
}

packages_for() {
    local thing
    for thing in "$@"; do package_for "$thing"; done | sort -u
}

apt_install_things() {
    local packages
    installable openssh-client || apt_update          # a new machine has no lists, so no candidates at all
    repair_dpkg
    mapfile -t packages < <(packages_for "$@")
    echo "installing: ${packages[*]}"
    if ! apt_get install --no-install-recommends "${packages[@]}"; then
        apt_update                                    # stale lists name versions that the archive has dropped
        apt_get install --no-install-recommends "${packages[@]}" ||
            fail 1 "apt-get could not install ${packages[*]}" "${EUID_HINT}apt-get install ${packages[*]}"
    fi
    note "installed"
    changed "installed ${packages[*]}"
}

# apt-get waits for dpkg's lock by itself, and not for that of the lists, which the system's own timers take.
apt_update() {
    local tries words
    for (( tries = 0; tries < 60; tries++ )); do
        if words=$(apt_get update 2>&1); then printf '%s\n' "$words"; return; fi
        printf '%s\n' "$words"
        [[ $words = *"Could not get lock"* || $words = *"Unable to lock"* ]] || return 1
        sleep 5
    done
    return 1
}

# An earlier run that was interrupted may have left packages unpacked but not configured.
repair_dpkg() {
    [[ -z $("${SUDO[@]}" dpkg --audit) ]] || "${SUDO[@]}" env DEBIAN_FRONTEND=noninteractive dpkg --configure -a
}

apt_get() {
    "${SUDO[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout="$APT_WAIT" \
        -o Dpkg::Options::=--force-confold "$@"
}

EUID_HINT=''
(( EUID == 0 )) || EUID_HINT='sudo '
