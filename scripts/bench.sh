# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# `./run.sh bench WHAT`: measurements beside the programs that the toolbox stands in for. docs/benchmarks.md holds what
# they said on one machine.

# Measured by this machine's own builds, static and optimised as in the image.
run_bench() {
    case $WHAT in
        agent) need "Install what the measurement needs" ssh ssh-keygen cc libc-headers ;;
        relay) need "Install what the measurement needs" cc libc-headers ;;
        deploy|fleet) prepare_deploys ;;
        push)  prepare_pushes ;;
        *)     usage_error "bench what? agent, relay, deploy, fleet, push" ;;
    esac
    prepare_cargo
    [[ $WHAT = relay ]] || step "Build the toolbox (release, static)" bench-toolbox build_toolbox
    [[ $WHAT = agent ]] || step "Build the relay (static)" build-relay build_relay
    step "Build the measurement" bench-build cargo build --release --locked --package bench
    local before=()
    # Making a machine out of namespaces needs root; images are built by a compiler that root may not find.
    [[ ! $WHAT =~ ^(deploy|fleet|push)$ || $EUID = 0 ]] || before=(sudo -n env "PATH=$PATH" "HOME=$HOME")
    "${before[@]}" target/release/bench "$WHAT" --toolbox "target/bench/$(host_target)/release/toolbox" \
        --relay "$(relay_binary)" "${REST[@]}"
}

# What deploys are measured with, and the programs beside which they are: of these, what can be had.
prepare_deploys() {
    prepare_engine
    need "Install what the measurement needs" ssh sshd ssh-keygen ip dockerd cc libc-headers
    want "Install what is measured too" compose-v2 ansible python3-docker
    ask_sudo "making a host out of namespaces"
}

# The same for pushes. The slow line is a pair of TUN devices.
prepare_pushes() {
    prepare_engine
    need "Install what the measurement needs" ssh sshd ssh-keygen ip dockerd cc libc-headers
    [[ -e /dev/net/tun ]] || fail 2 "there is no /dev/net/tun, of which the slow line is made" "sudo modprobe tun"
    want "Install what is measured too" zstd rsync skopeo
    ask_sudo "making a host out of namespaces"
}

build_toolbox() {
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --package toolbox \
        --target "$(host_target)" --target-dir target/bench
}
