# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# `./run.sh test`: what CI runs. Linters, unit and integration tests; without --quick also the images and the
# end-to-end tests, which call ./run.sh themselves. The test runner has the last word: nothing is printed after it.

QUICK_TOOLS=(shellcheck cc libc-headers sshd ssh ssh-keygen sudo xmlstarlet xz gpg)
DEBIAN_TOOLS=(openssh-tests softhsm2)     # OpenSSH's own tests of an agent; elsewhere they are skipped
FULL_TOOLS=(chromium chromedriver curl git ip)

run_tests() {
    local tools=("${QUICK_TOOLS[@]}")
    [[ $QUICK = yes ]] || tools+=("${FULL_TOOLS[@]}")
    ! is_debian || tools+=("${DEBIAN_TOOLS[@]}")
    need "Install what tests need" "${tools[@]}"
    prepare_engine
    prepare_cargo
    step "Shell scripts (shellcheck)" shellcheck lint_scripts
    step "run.sh's own functions" functions ./scripts/selftest
    step "Format (cargo fmt)" fmt format_is_right
    step "Lints (cargo clippy)" clippy cargo clippy --workspace --all-targets -- -D warnings
    step "Helper program (static)" build-relay build_relay
    TOOLBOX_RELAY=$(relay_binary)
    export TOOLBOX_RELAY     # tests that send the helper to an engine find it here
    if [[ $QUICK = yes ]]; then
        cargo_tests
        return
    fi
    prepare_base_images
    export TOOLBOX_TEST_ENGINE=1     # tests that need the engine and a base image run too
    cargo_tests
    build_images
    [[ ! -x frontend/test.sh ]] || step "Frontend (frontend/test.sh)" frontend ./frontend/test.sh
    step "The clock, redeployed under load" clock env TOOLBOX_TEST_CLOCK=1 cargo test -p toolbox --test it -- clock::
    cargo test -p e2e --tests -- --test-threads=1 --nocapture
}

# The fuzz targets are no part of the workspace.
format_is_right() {
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml > /dev/null     # its Cargo.lock is in step
}

# Documentation's examples first: nextest does not know them.
cargo_tests() {
    step "Examples in documentation" doctest cargo test --workspace --exclude e2e --doc
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --no-fail-fast --workspace --exclude e2e
    else
        cargo test --no-fail-fast --workspace --exclude e2e --tests
    fi
}

# The helper program as hosts get it, built on this machine.
build_relay() {
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile relay --locked --package toolbox-relay \
        --target "$(host_target)" --target-dir target/relay
}

relay_binary() { echo "$PWD/target/relay/$(host_target)/relay/toolbox-relay"; }

host_target() { rustc -vV | sed -n 's/^host: //p'; }

# Every shell script of ours, whatever its name.
lint_scripts() {
    local scripts
    mapfile -t scripts < <(grep -rInE -m 1 '^#!/(usr/)?bin/(env )?(ba|da)?sh' . \
        --exclude-dir=.git --exclude-dir=target --exclude-dir=.toolbox | sed -n 's/:1:.*//p')
    printf '%s\n' "${scripts[@]}"
    shellcheck --external-sources "${scripts[@]}" scripts/*.sh
    no_reader_stops_early "${scripts[@]}" scripts/*.sh
    note "${#scripts[@]} scripts and scripts/"
}

# Under pipefail a reader that stops early makes a writer fail, and so the line, now and then.
no_reader_stops_early() {
    local found
    found=$(grep -lw pipefail "$@" | xargs grep -nE '\| *(head|grep -[a-zA-Z]*q)( |$)' scripts/*.sh) || return 0
    fail 1 "these end their input early: $found" "sed -n 1p, or grep without -q"
}

# --- the Rust toolchain ------------------------------------------------------------------------------------

# prepare_cargo: the machine's own where it is new enough, else the one inside the Rust base image.
prepare_cargo() {
    local wanted
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
    PATH=$PATH:$HOME/.cargo/bin
    if ! at_least "$(cargo_version)" "$wanted"; then
        prepare_base_images
        [[ -d $STATE/rust/cargo ]] || step "Rust $wanted, out of the base image" rust take_rust
        use_taken_rust
        at_least "$(cargo_version)" "$wanted" ||
            fail 1 "the tests need Rust $wanted or newer; here is: $(cargo_version)" "rustup toolchain install $wanted"
    fi
    cargo fmt --version >/dev/null 2>&1 || fail 1 "cargo fmt is missing" "rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || fail 1 "cargo clippy is missing" "rustup component add clippy"
}

cargo_version() { RUSTUP_AUTO_INSTALL=0 cargo --version 2>/dev/null | cut -d ' ' -f 2; }

# at_least VERSION WANTED
at_least() { [[ -n $1 && $(printf '%s\n%s\n' "$2" "${1%%-*}" | sort -V | sed -n 1p) = "$2" ]]; }

# take_rust: copies the image's toolchain to $STATE/rust; only a whole copy gets that name.
take_rust() {
    local image container half=$STATE/rust.half
    image=$(base_images_of_project | grep '^rust:' | sed -n 1p)
    rm -rf "$half" "$STATE/rust"
    mkdir -p "$half"
    container=$(docker_ create "$image" true)
    docker_ cp "$container:/usr/local/rustup" "$half/rustup"
    docker_ cp "$container:/usr/local/cargo" "$half/cargo"
    docker_ rm "$container"
    if [[ -x $half/cargo/bin/rustup ]]; then      # the official image brings rustup, but no linters
        RUSTUP_HOME=$PWD/$half/rustup CARGO_HOME=$PWD/$half/cargo "$half/cargo/bin/rustup" component add rustfmt clippy
    fi
    mv "$half" "$STATE/rust"
    changed "took Rust out of $image"
}

use_taken_rust() {
    local bin
    for bin in "$PWD/$STATE"/rust/rustup/toolchains/*/bin; do
        PATH=$bin:$PATH
    done
    export PATH
}
