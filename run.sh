#!/usr/bin/env bash
# From a fresh Debian or Ubuntu machine to the clock, served by containers inside a virtual machine.
#
# This file reads the command line and holds the order of the steps; each scripts/*.sh holds one idea.
# Every step looks first, changes only what is missing, and is whole or repeated: an interrupted run is
# continued by the next one. ./run.sh --help tells the rest.

set -Eeuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

STATE=.toolbox           # keys, logs, and what run.sh remembers; ignored by git
LOGS=$STATE/logs

usage() {
    cat <<'END'
Usage: ./run.sh [COMMAND] [OPTION...]

Without a command: installs what is missing, builds the images, starts the demo VM, deploys the clock to it,
checks the result as a browser would, and prints the address. A second run changes nothing.

Commands
  deploy [-- ARG...]   deploy again to the running demo VM (or --host): toolbox deploy, and the check
  plan   [-- ARG...]   what a deploy would do (toolbox plan); changes nothing
  status [-- ARG...]   the demo VM and what runs on the hosts (toolbox status)
  toolbox VERB [ARG...]  any verb of the toolbox: releases, rollback, logs, exec, restart, prune, down ...
  ssh [CMD...]         log into the demo VM, or run CMD there
  logs                 the demo VM's console
  down                 remove the containers and networks that run.sh made here; images stay, for the next run
       --volumes       also the VM's disk, the caches, .toolbox/ with the demo key, run.sh's lines of .env
       --images        also the images built here; pulled ones, the builder's cache and dockerd stay
                       (a project other than .env's leaves images, .toolbox/ and .env alone)
  test [--quick]       all tests, as CI runs them; --quick leaves out the images and the virtual machine
       --engines       instead: deploys to Docker 26 and 28 and to Podman, which are fetched from Debian's archives
                       into .toolbox/engines, not installed (docs/targets.md)
       --vms [-- SUITE...]  instead: the demo in a machine of Debian 11, 12 and 13 each, from bare to removed
  bench agent [-- ARG...]  the agent beside OpenSSH's: signatures, lists, memory (--rounds N, --seconds S)
  bench relay [-- ARG...]  what the relay before a service costs (the same options)
  bench deploy [-- ARG...] deploys beside Compose over ssh and Ansible: time, bytes (--rounds N)
  bench fleet [-- ARG...]  deploys without a change to 1 to 200 hosts beside Ansible (--rounds N)
  bench push [-- ARG...]   pushes and SSH beside docker save|ssh, rsync, OpenSSH (--rounds N, --sizes MB,..., --mib N)
  fuzz agent [-- ARG...]   hostile requests for the agent, for a minute or -max_total_time=SECONDS
  fuzz archive [-- ARG...] hostile tarballs of images; fuzz manifest: hostile documents in them

Options
  --host USER@ADDRESS[:PORT]  deploy to this machine instead of a demo VM; its host key must be in
                       ~/.ssh/known_hosts or ./known_hosts
  --libvirt            deploy to a libvirt machine (virsh) instead, made of an archive with a disk image and an XML:
       --image FILE    debian10-ssh.img.tar.xz: a bootable raw disk with sshd, root's key and an address by DHCP
       --xml FILE      the domain, with ${PATH_TO_VM_DISK_FILE} for the disk; vm/vm.xml unless told
       --define        keep the domain in libvirt (virsh define); else it is transient (virsh create)
                       what was named once needs no naming again; deploy, plan, status, toolbox, ssh and down take
                       --libvirt too; down without it takes both machines away
  --key FILE           the private key to use; a passphrase is asked for, or read from the file that
                       TOOLBOX_SSH_PASSPHRASE_FILE names
  --no-install         install nothing: name what is missing, and stop
  --quiet              only failures, the deployer's words and the result
  -h, --help           this text

Environment, before .env, before the defaults (.env.example lists all names)
  VM_SSH_PORT=2222 VM_HTTP_PORT=8080   where the demo VM is reached on 127.0.0.1
  COMPOSE_PROJECT_NAME=clock           another name keeps a second demo apart from the first
  NO_COLOR=1                           no colours

Exit status
  0 done, or nothing to do    1 failed and rolled back    2 usage or configuration, nothing touched
  3 a rollback failed: a person is needed                 130 interrupted
END
}

# --- the command line --------------------------------------------------------------------------------------

AGAIN="$0${*:+ $*}"        # what to type to go on after a failure
COMMAND='' WHAT='' HOST='' HOST_NAME='' HOST_PORT='' KEY_OPTION=${TOOLBOX_KEY_FILE:-} NO_INSTALL=no VOLUMES=no IMAGES=no QUICK=no ENGINES_WANTED=no VMS_WANTED=no
LIBVIRT=no IMAGE_OPTION='' XML_OPTION='' DEFINE=no
REST=()                  # for the toolbox or for ssh

source scripts/ui.sh
source scripts/install.sh
source scripts/engine.sh
source scripts/settings.sh
source scripts/key.sh
source scripts/base-images.sh
source scripts/images.sh
source scripts/demo.sh
source scripts/libvirt.sh
source scripts/disk-image.sh
source scripts/domain-xml.sh
source scripts/machine.sh
source scripts/machine-ssh.sh
source scripts/deploy.sh
source scripts/down.sh
source scripts/test.sh
source scripts/engines.sh
source scripts/vms.sh
source scripts/bench.sh
source scripts/fuzz.sh

usage_error() { fail 2 "$1" "$0 --help"; }

parse() {
    while (( $# > 0 )); do
        case $1 in
            up | deploy | plan | status | down | test | logs)
                [[ -z $COMMAND ]] || usage_error "one command at a time: $COMMAND, or $1"
                COMMAND=$1 ;;
            ssh)
                [[ -z $COMMAND ]] || usage_error "one command at a time: $COMMAND, or ssh"
                COMMAND=ssh REST=("${@:2}")
                [[ ${REST[0]:-} != -- ]] || REST=("${REST[@]:1}")
                break ;;
            toolbox)
                [[ -z $COMMAND ]] || usage_error "one command at a time: $COMMAND, or toolbox"
                COMMAND=toolbox REST=("${@:2}")
                break ;;
            bench | fuzz)
                [[ -z $COMMAND ]] || usage_error "one command at a time: $COMMAND, or $1"
                COMMAND=$1 WHAT=${2:-}
                [[ -z $WHAT ]] || shift ;;
            --host | --key | --image | --xml) option_value "$1" "${2:-}"; shift ;;
            --host=* | --key=* | --image=* | --xml=*) option_value "${1%%=*}" "${1#*=}" ;;
            --libvirt)    LIBVIRT=yes ;;
            --define)     DEFINE=yes ;;
            --no-install) NO_INSTALL=yes ;;
            --volumes)    VOLUMES=yes ;;
            --images)     IMAGES=yes ;;
            --quick)      QUICK=yes ;;
            --engines)    ENGINES_WANTED=yes ;;
            --vms)        VMS_WANTED=yes ;;
            --quiet)      QUIET=yes ;;
            -h | --help)  usage; exit 0 ;;
            --) REST=("${@:2}"); break ;;
            *) usage_error "unknown argument: $1" ;;
        esac
        shift
    done
    COMMAND=${COMMAND:-up}
}

option_value() {
    [[ -n $2 ]] || usage_error "$1 needs a value"
    case $1 in
        --host)  HOST=$2 ;;
        --key)   KEY_OPTION=$2 ;;
        --image) IMAGE_OPTION=$2 ;;
        --xml)   XML_OPTION=$2 ;;
    esac
}

check_options() {
    if [[ $COMMAND != down && $VOLUMES$IMAGES = *yes* ]]; then usage_error "--volumes and --images belong to down"; fi
    case $COMMAND,$QUICK$ENGINES_WANTED$VMS_WANTED in
        test,*yes*yes*) usage_error "one of --quick, --engines and --vms" ;;
        test,*)         ;;
        *yes*)          usage_error "--quick, --engines and --vms belong to test" ;;
    esac
    case $COMMAND in
        up | deploy | plan | status | toolbox) ;;
        *) [[ -z $HOST ]] || usage_error "--host does not go with $COMMAND" ;;
    esac
    check_libvirt_options
    case $COMMAND in
        toolbox) (( ${#REST[@]} > 0 )) || usage_error "toolbox needs a verb, such as releases" ;;
        deploy | plan | status | ssh | bench | fuzz) ;;
        test) (( ${#REST[@]} == 0 )) || [[ $VMS_WANTED = yes ]] || usage_error "$COMMAND takes no arguments after --" ;;
        *) (( ${#REST[@]} == 0 )) || usage_error "$COMMAND takes no arguments after --" ;;
    esac
    [[ -z $HOST || $LIBVIRT = yes ]] || split_host "$HOST"
    [[ -z $HOST || $LIBVIRT = yes || -n $KEY_OPTION ]] || usage_error "--host needs --key FILE, the key that the host lets in"
    [[ -z $KEY_OPTION || -f $KEY_OPTION ]] || fail 2 "no key: $KEY_OPTION does not exist or is no file" "--key names a private key"
}

check_libvirt_options() {
    if [[ $LIBVIRT = no ]]; then
        [[ -z $IMAGE_OPTION$XML_OPTION && $DEFINE = no ]] || usage_error "--image, --xml and --define belong to --libvirt"
        return 0
    fi
    [[ -z $HOST ]] || usage_error "--host or --libvirt, not both"
    case $COMMAND in
        up | deploy | plan | status | toolbox | ssh | down) ;;
        *) usage_error "--libvirt does not go with $COMMAND" ;;
    esac
    [[ $COMMAND = up || -z $IMAGE_OPTION$XML_OPTION && $DEFINE = no ]] || usage_error "--image, --xml and --define make the machine: leave $COMMAND away"
    [[ $IMAGES = no ]] || usage_error "--images does not go with --libvirt"
    HOST=root@libvirt      # no demo VM; the address comes when the machine has one
}

# --- the commands ------------------------------------------------------------------------------------------

up() {
    lock
    [[ $LIBVIRT = no ]] || create_machine
    prepare_engine
    [[ -n $HOST ]] || check_ports
    prepare_key_and_settings
    prepare_base_images
    build_images
    [[ -n $HOST ]] || start_vm
    [[ $LIBVIRT = no ]] || reach_machine
    deploy_and_check
}

deploy_again() {
    lock
    prepare
    deploy_and_check
}

# prepare: without which nothing below works.
prepare() {
    [[ $LIBVIRT = no ]] || require_machine
    prepare_engine
    prepare_key_and_settings
    [[ -n $HOST || $COMMAND = status ]] || require_vm
}

prepare_key_and_settings() {
    prepare_key
    write_settings
}

deploy_and_check() {
    local began=$EPOCHREALTIME address=127.0.0.1 port status=0
    port=$(port_setting VM_HTTP_PORT 8080)
    if [[ -n $HOST ]]; then address=$HOST_NAME port=80; fi
    say "  ....  Deploy to ${HOST:-the demo VM}"
    toolbox deploy "${REST[@]}" || status=$?
    (( status == 0 )) || deploy_failed "$status"
    step_done "Deploy" "$(seconds_since "$began")"
    step "Look at the result" check check_result "$address" "$port"
    closing_words "$address" "$port"
}

deploy_failed() {
    (( $1 != 130 )) || interrupted 130
    printf '%serror:%s the deployment failed (exit %s); the toolbox says why above\n' "$RED" "$PLAIN" "$1" >&3
    (( $1 == 2 )) ||
        printf '%shint:%s %s status shows what runs; %s deploy goes on from there\n' "$BOLD" "$PLAIN" "$0" "$0" >&3
    exit "$1"
}

closing_words() {
    local shown=$1 host_options=''
    [[ $shown != *:* ]] || shown="[$shown]"
    [[ $2 = 80 ]] || shown=$shown:$2
    [[ -z $HOST ]] || host_options=" --host $HOST --key $KEY"
    [[ $LIBVIRT = no ]] || host_options=' --libvirt'
    say ''
    if [[ -s $LOGS/.changed ]]; then
        say "Changed on this machine:"
        sort -u "$LOGS/.changed" | sed 's/^/  - /' | { [[ $QUIET = yes ]] || cat >&3; }
    else
        say "Nothing changed on this machine; the recap above tells about the host."
    fi
    printf '\n%sThe clock: http://%s/%s   (%s s in all)\n\n' "$BOLD" "$shown" "$PLAIN" "$(seconds_since "$BEGAN")"
    printf '  %s%s status    what runs\n  %s%s deploy    deploy again\n' "$0" "$host_options" "$0" "$host_options"
    [[ -n $HOST && $LIBVIRT = no ]] ||
        printf '  %s%s ssh       a shell on the VM\n  %s%s down      take it away\n' "$0" "$host_options" "$0" "$host_options"
}

# look VERB: plan and status; the toolbox's output and exit status are ours.
look() {
    prepare
    if [[ $COMMAND = status && -z $HOST ]]; then
        say "demo VM: $(vm_state)"
        [[ $(vm_state) = running/* ]] || return 1
    fi
    toolbox "$COMMAND" "${REST[@]}"
}

# any_verb: as typed; the toolbox's output and exit status are ours.
any_verb() {
    prepare
    toolbox "${REST[@]}"
}

take_all_down() {
    lock
    if [[ $LIBVIRT = yes || $(project) = "$(own_project)" ]]; then take_machine_away; fi
    [[ $LIBVIRT = no ]] || { say "Done."; return; }
    choose_docker || fail 1 "the container engine does not answer, so there is nothing to take down" "docker version"
    take_down
    [[ $VOLUMES = no ]] || forget_state
    say "Done."
}

shell_on_vm() {
    [[ $LIBVIRT = no ]] || { require_machine; machine_ssh "${REST[@]}"; return; }
    choose_docker || fail 1 "the container engine does not answer" "$0 starts it"
    [[ -z $KEY_OPTION ]] || KEY=$KEY_OPTION
    vm_ssh "${REST[@]}"
}

show_logs() {
    choose_docker || fail 1 "the container engine does not answer" "$0 starts it"
    [[ -n $(vm_container) ]] || fail 1 "there is no demo VM" "$0 starts it"
    docker_ logs "$(vm_container)"
}

# lock: two runs at once would build and start the same things.
lock() {
    mkdir -p "$STATE"
    exec 9>"$STATE/lock"
    flock --nonblock 9 || fail 1 "another $0 is at work in this directory" "wait for it, or end it with Ctrl-C"
}

main() {
    parse "$@"
    check_options
    mkdir -p "$LOGS" || fail 2 "$PWD is not writable by $(id -un), and run.sh keeps keys and logs in $STATE" "clone it as the user who runs it"
    rm -f "$LOGS/.changed"
    find_sudo
    pass_environment
    case $COMMAND in
        up)            up ;;
        deploy)        deploy_again ;;
        plan | status) look ;;
        toolbox)       any_verb ;;
        ssh)           shell_on_vm ;;
        logs)          show_logs ;;
        down)          take_all_down ;;
        test)          test_what ;;
        bench)         run_bench ;;
        fuzz)          run_fuzz ;;
    esac
}

test_what() {
    if [[ $ENGINES_WANTED = yes ]]; then run_on_engines
    elif [[ $VMS_WANTED = yes ]]; then run_on_vms
    else run_tests; fi
}

main "$@"
