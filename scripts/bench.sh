# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# `./run.sh bench WHAT`: measurements beside the programs that the toolbox stands in for. docs/benchmarks.md holds what
# they said on one machine.

# Measured by this machine's own build, static and optimised as in the image.
run_bench() {
    case $WHAT in
        agent) need "Install what the measurement needs" ssh ssh-keygen cc libc-headers ;;
        *)     usage_error "bench what? agent" ;;
    esac
    prepare_cargo
    local target
    target=$(rustc -vV | sed -n 's/^host: //p')
    step "Build the toolbox (release, static)" bench-toolbox env RUSTFLAGS="-C target-feature=+crt-static" \
        cargo build --release --locked --package toolbox --target "$target" --target-dir target/bench
    step "Build the measurement" bench-build cargo build --release --locked --package bench
    target/release/bench "$WHAT" --toolbox "target/bench/$target/release/toolbox" "${REST[@]}"
}
