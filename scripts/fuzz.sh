# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# `./run.sh fuzz WHAT`: coverage-guided fuzzing (libFuzzer) with the stable compiler. What was found is kept below
# target/fuzz, so that the next run goes on; the first one begins with messages recorded from OpenSSH's own tools.

# What cargo-fuzz passes, without the sanitizers, which need another compiler.
COVERAGE="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"

run_fuzz() {
    local target bin length memory
    case $WHAT in
        agent)    bin=agent_requests length=8192  memory=1024 ;;
        archive)  bin=image_archive  length=32768 memory=512 ;;
        manifest) bin=image_manifest length=16384 memory=512 ;;
        *)        usage_error "fuzz what? agent, archive or manifest" ;;
    esac
    need "Install what fuzzing needs" c++ libc-headers
    prepare_cargo
    target=$(rustc -vV | sed -n 's/^host: //p')
    step "Build with coverage" fuzz env RUSTFLAGS="$COVERAGE" cargo build --release --locked \
        --manifest-path fuzz/Cargo.toml --target "$target" --target-dir target/fuzz
    mkdir -p "target/fuzz/corpus/$WHAT" target/fuzz/findings
    (( ${#REST[@]} > 0 )) || REST=(-max_total_time=60)
    SSH_SK_HELPER=/nonexistent SSH_PKCS11_HELPER=/nonexistent \
        "target/fuzz/$target/release/$bin" -max_len="$length" -rss_limit_mb="$memory" \
        -artifact_prefix=target/fuzz/findings/ "${REST[@]}" \
        "target/fuzz/corpus/$WHAT" "fuzz/seeds/$bin"
}
