# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# `./run.sh bench WHAT`: measurements beside the programs that the toolbox stands in for. docs/benchmarks.md holds what
# they said on one machine.

# Measured by this machine's own builds, static and optimised as in the image.
run_bench() {
    case $WHAT in
        agent) need "Install what the measurement needs" ssh ssh-keygen cc libc-headers ;;
        relay) need "Install what the measurement needs" cc libc-headers ;;
        *)     usage_error "bench what? agent, relay" ;;
    esac
    prepare_cargo
    case $WHAT in
        agent) step "Build the toolbox (release, static)" bench-toolbox build_toolbox ;;
        relay) step "Build the relay (static)" build-relay build_relay ;;
    esac
    step "Build the measurement" bench-build cargo build --release --locked --package bench
    target/release/bench "$WHAT" --toolbox "target/bench/$(host_target)/release/toolbox" --relay "$(relay_binary)" \
        "${REST[@]}"
}

build_toolbox() {
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --package toolbox \
        --target "$(host_target)" --target-dir target/bench
}
