# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# `./run.sh fuzz WHAT`: coverage-guided fuzzing (libFuzzer) with the stable compiler. What was found is kept below
# target/fuzz, so that the next run goes on; the first one begins with messages recorded from OpenSSH's own tools.

# What cargo-fuzz passes, without the sanitizers, which need another compiler.
COVERAGE="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"

run_fuzz() {
    [[ $WHAT = agent ]] || usage_error "fuzz what? agent"
    need "Install what fuzzing needs" c++ libc-headers
    prepare_cargo
    local target
    target=$(rustc -vV | sed -n 's/^host: //p')
    step "Build with coverage" fuzz env RUSTFLAGS="$COVERAGE" cargo build --release --locked \
        --manifest-path fuzz/Cargo.toml --target "$target" --target-dir target/fuzz
    mkdir -p target/fuzz/corpus/agent target/fuzz/findings
    (( ${#REST[@]} > 0 )) || REST=(-max_total_time=60)
    SSH_SK_HELPER=/nonexistent SSH_PKCS11_HELPER=/nonexistent \
        "target/fuzz/$target/release/agent_requests" -max_len=8192 -rss_limit_mb=1024 \
        -artifact_prefix=target/fuzz/findings/ "${REST[@]}" \
        target/fuzz/corpus/agent fuzz/seeds/agent_requests
}
