# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# The images that our Dockerfiles start FROM: present, else pulled, else built here: debian:SUITE-slim from
# Debian's packages, rust:VERSION-slim-SUITE from this machine's own toolchain. What is built here carries the
# label toolbox.base and gets its name only when it is whole.

PULL_FIRST_WORD=30       # seconds until a registry must have answered
PULL_LIMIT=1800          # seconds for a whole pull
HALF_MADE=toolbox-half-made

# dockerfiles: ours; the VM's is left out where no VM is wanted.
dockerfiles() {
    local file
    for file in Dockerfile* */Dockerfile*; do
        [[ -f $file && $file != *.dockerignore ]] || continue
        [[ $file != vm/* || -z $HOST ]] && echo "$file"
    done
}

# base_images FILE...: what their FROM lines name, without scratch, digests' options and earlier stages. An ARG before
# the first of them has its value from the settings, else the one written there.
base_images() {
    VM_DEBIAN=$(setting VM_DEBIAN '') awk 'FNR == 1 { delete stage }
         toupper($1) == "ARG" { split($2, pair, "="); value[pair[1]] = ENVIRON[pair[1]] ? ENVIRON[pair[1]] : pair[2] }
         toupper($1) == "FROM" {
             at = 2; while ($at ~ /^--/) at++
             image = $at
             for (name in value) gsub("[$][{]" name "[}]", value[name], image)
             if (image !~ /[:@]/) image = image ":latest"
             if ($at != "scratch" && !($at in stage) && !(image in seen)) { seen[image]; print image }
             if (toupper($(at + 1)) == "AS") stage[$(at + 2)]
         }' "$@" | sort            # debian: before rust:, which is built on it
}

prepare_base_images() {
    local images image
    mapfile -t images < <(base_images_of_project)
    for image in "${images[@]}"; do
        has_image "$image" || provide_image "$image"
    done
    for image in "${images[@]}"; do
        say "$(printf '  %sok%s    base image %s' "$GREEN" "$PLAIN" "$image")"
    done
}

base_images_of_project() {
    local files
    mapfile -t files < <(dockerfiles)
    (( ${#files[@]} == 0 )) || base_images "${files[@]}"
}

has_image() { docker_ image inspect "$1" >/dev/null 2>&1; }

provide_image() {
    local name=${1//[:\/]/-}
    if [[ $PULL = yes ]] && try_pull "$1"; then return 0; fi
    case $1 in
        debian:*-slim)
            build_tools_for_debian
            step "Base image $1 from Debian's packages" "base-$name" build_debian "$1" ;;
        rust:*-slim-*)
            has_image "debian:${1##*-slim-}-slim" || provide_image "debian:${1##*-slim-}-slim"
            check_toolchain "$1"
            step "Base image $1 from this machine's Rust" "base-$name" build_rust "$1" ;;
        *)  fail 1 "the base image $1 is not here and could not be pulled" "docker pull $1, or docker load -i a saved copy" ;;
    esac
}

PULL=yes                 # until a registry turns out to be out of reach

# try_pull IMAGE: a step that may find nothing; its function runs in a process of its own, so it leaves a file.
try_pull() {
    local result=$LOGS/.pulled
    rm -f "$result"
    step "Pull $1" "pull-${1//[:\/]/-}" pull "$1" "$result"
    [[ -e $result ]] && return 0
    PULL=no
    return 1
}

pull() {
    local began=$SECONDS pulling
    timeout "$PULL_LIMIT" "${DOCKER[@]}" pull "$1" >"$2.log" 2>&1 &
    pulling=$!
    while kill -0 "$pulling" 2>/dev/null; do
        if (( SECONDS - began > PULL_FIRST_WORD )) && ! grep -q 'Pulling from' "$2.log"; then
            kill "$pulling"
            echo "no answer from the registry within $PULL_FIRST_WORD s"
        fi
        sleep 0.2
    done
    if wait "$pulling"; then
        : >"$2"
        note "pulled"; changed "pulled $1"
    else
        note "no registry in reach; it is built here instead"
    fi
    cat "$2.log"; rm -f "$2.log"
}

# finish_image NAME: the half-made image becomes NAME.
finish_image() {
    docker_ tag "$HALF_MADE" "$1"
    docker_ rmi "$HALF_MADE" >/dev/null
    note "built"; changed "built $1"
}

# --- debian:SUITE-slim -------------------------------------------------------------------------------------

build_tools_for_debian() { need "Install what builds Debian" mmdebstrap debian-keys; }

# Small as the official slim images are: no manuals, no translations, no package lists.
build_debian() {
    local suite=${1#debian:} as_root=() mirror=()
    suite=${suite%-slim}
    ! can_be_root || as_root=("${SUDO[@]}")       # a plain user's mmdebstrap takes a user namespace
    [[ -z $(debian_sources "$suite") ]] || mirror=(-)
    # shellcheck disable=SC2016  # mmdebstrap expands $1
    debian_sources "$suite" | "${as_root[@]}" mmdebstrap --variant=minbase \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
        "$suite" - "${mirror[@]}" |
        docker_ import --change 'CMD ["bash"]' --change 'LABEL toolbox.base=mmdebstrap' - "$HALF_MADE"
    finish_image "$1"
}

can_be_root() { (( EUID == 0 )) || sudo -n true 2>/dev/null; }

# debian_sources SUITE: from where this machine gets Debian itself; empty elsewhere, and then mmdebstrap knows.
debian_sources() {
    local main security
    main=$(host_mirror Debian)
    security=$(host_mirror Debian-Security)
    [[ -n $main ]] || return 0
    echo "deb $main $1 main"
    [[ $1 != sid && $1 != unstable ]] || return 0
    echo "deb $main $1-updates main"
    [[ -z $security ]] || echo "deb $security $1-security main"
}

# shellcheck disable=SC2016  # apt expands its own $(...)
host_mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk -v label="$1" '$1 == label && $2 ~ /^https?:/ { found = $2 } END { if (found) print found }'
}

# --- rust:VERSION-slim-SUITE -------------------------------------------------------------------------------

rust_version_of() { local tag=${1#rust:}; echo "${tag%%-*}"; }

# host_sysroot VERSION: a toolchain of that version on this machine, also the one of the person behind sudo.
host_sysroot() {
    local home rustc toolchain sysroot
    home=$(getent passwd "${SUDO_USER:-$(id -un)}" | cut -d: -f6)
    for rustc in "$(command -v rustc || true)" "$home/.cargo/bin/rustc"; do
        [[ -x $rustc ]] || continue
        for toolchain in '' "$1" "$1.0"; do
            sysroot=$(ask_sysroot "$rustc" "$home" "$toolchain") || continue
            [[ $sysroot != /usr ]] || continue     # a distribution's rustc needs the distribution's libraries
            is_version "$("$sysroot/bin/rustc" --version)" "$1" && { echo "$sysroot"; return 0; }
        done
    done
    return 1
}

# Under rustup rustc is a stand-in that may download: it must not here.
ask_sysroot() {
    local settings=(RUSTUP_AUTO_INSTALL=0)
    [[ -n ${RUSTUP_HOME:-} || ! -d $2/.rustup ]] || settings+=("RUSTUP_HOME=$2/.rustup")
    [[ -z $3 ]] || settings+=("RUSTUP_TOOLCHAIN=$3")
    env "${settings[@]}" "$1" --print sysroot 2>/dev/null
}

# is_version "rustc 1.95.0 (...)" 1.95
is_version() { [[ $1 = "rustc $2 "* || $1 = "rustc $2."* ]]; }

check_toolchain() {
    local wanted there
    wanted=$(rust_version_of "$1")
    host_sysroot "$wanted" >/dev/null && return 0
    there=$(rustc --version 2>/dev/null || echo none)
    fail 1 "the base image $1 cannot be pulled, and cannot be built here: it needs Rust $wanted, this machine has: $there" \
        "rustup toolchain install $wanted, or docker load -i a saved copy of $1"
}

# Laid out like the official image, so that the same Dockerfile builds on either. The host's certificates
# come along: a network that looks into TLS has its own authority, and cargo must know it.
build_rust() {
    local image=$1 sysroot stage=$STATE/rust-context parts
    sysroot=$(host_sysroot "$(rust_version_of "$image")")
    mapfile -t parts < <(toolchain_parts "$sysroot")
    rm -rf "$stage"
    mkdir "$stage"
    rust_context "$stage" "$sysroot" "${image##*-slim-}"
    tar -cf - -C "$stage" . -C "$sysroot" --exclude=lib/rustlib/src "${parts[@]}" |
        docker_ build --tag "$HALF_MADE" -
    rm -rf "$stage"
    finish_image "$image"
}

# What building and `./run.sh test` use; manuals, the language server and the debugger scripts stay behind.
toolchain_parts() (
    cd "$1" || exit
    for part in bin/{cargo,rustc,rustdoc,rustfmt,cargo-fmt,clippy-driver,cargo-clippy} \
        lib/rustlib lib/librustc_driver* lib/libLLVM* lib/libstd*; do
        [[ ! -e $part ]] || echo "$part"
    done
)

rust_context() {
    local stage=$1 home
    home=/usr/local/rustup/toolchains/$("$2/bin/rustc" -vV | awk '/^release:/ { r = $2 } /^host:/ { h = $2 } END { print r "-" h }')
    mkdir "$stage/ca"
    cp -L /etc/ssl/certs/ca-certificates.crt "$stage/bundle.crt"
    find -L /usr/local/share/ca-certificates -name '*.crt' -exec cp -L {} "$stage/ca/" \; 2>/dev/null || true
    cat >"$stage/Dockerfile" <<END
FROM debian:$3-slim
RUN apt-get update \\
 && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev \\
 && rm -rf /var/lib/apt/lists/*
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY ca/ /usr/local/share/ca-certificates/
COPY bundle.crt /etc/ssl/certs/ca-certificates.crt
COPY lib $home/lib
COPY bin $home/bin
RUN mkdir -p /usr/local/cargo/bin && ln -s $home/bin/* /usr/local/cargo/bin/ && chmod -R a+w /usr/local/cargo && rustc --version && cargo --version
LABEL toolbox.base=host-toolchain
END
}
