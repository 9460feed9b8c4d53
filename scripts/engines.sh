# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# Container engines for the machines of the tests: Docker of Debian trixie (26.1) and sid (28), and this release's
# Podman. They are downloaded as packages, whose signatures apt checks, and unpacked to $ENGINES/MAJOR and
# $ENGINES/podman; nothing is installed. runc stays this machine's: a newer one wants a newer libc.

ENGINES=$STATE/engines
ENGINE_SUITES=(trixie sid)
DEBIAN_KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

# run_on_engines: `./run.sh test --engines`.
run_on_engines() {
    need "Install what tests need" cc libc-headers sshd ssh ssh-keygen ip
    (( EUID == 0 )) || fail 2 "machines for the tests are made of namespaces, which needs root" "sudo $AGAIN"
    prepare_engine
    prepare_engines
    prepare_cargo
    step "Helper program (static)" build-relay build_relay
    TOOLBOX_RELAY=$(relay_binary)
    export TOOLBOX_RELAY TOOLBOX_TEST_ENGINE=1
    cargo test --package toolbox --test it -- --nocapture --test-threads 2 matrix:: push_stores:: push_faults::
}

# prepare_engines: afterwards the tests find them. One that is there is kept, also when the archive has a newer one.
prepare_engines() {
    is_debian || fail 2 "other engines come from Debian's packages, and this machine's are others" "$0 test"
    need "Install what fetches engines" dpkg-deb debian-keys
    local suite
    mkdir -p "$ENGINES"
    for suite in "${ENGINE_SUITES[@]}"; do
        [[ -e $ENGINES/.$suite ]] || step "Docker of Debian $suite" "engine-$suite" fetch_docker "$suite"
        say "$(printf '  %sok%s    Docker Engine %s, for tests' "$GREEN" "$PLAIN" "$(<"$ENGINES/.$suite")")"
    done
    [[ -e $ENGINES/.podman ]] || step "Podman of this release" engine-podman fetch_podman
    say "$(printf '  %sok%s    Podman %s, for tests' "$GREEN" "$PLAIN" "$(<"$ENGINES/.podman")")"
    export TOOLBOX_TEST_ENGINES=$PWD/$ENGINES
}

# fetch_docker SUITE
fetch_docker() {
    local packages=$ENGINES/packages-$1 version
    suite_lists "$1"
    download "$packages" docker.io containerd
    version=$(dpkg-deb --field "$packages"/docker.io_*.deb Version)
    unpack "$packages" "${version%%.*}"
    found_engine "$1" "$version"
}

# Podman with what it needs and this machine lacks.
fetch_podman() {
    local packages=$ENGINES/packages-podman lacking version
    installable podman || apt_update
    # An installed package's line has its version in brackets.
    mapfile -t lacking < <(LC_ALL=C apt-get install --simulate --no-install-recommends \
        podman netavark aardvark-dns | awk '$1 == "Inst" && $3 !~ /^\[/ { print $2 }')
    download "$packages" podman "${lacking[@]}"
    version=$(dpkg-deb --field "$packages"/podman_*.deb Version)
    unpack "$packages" podman
    found_engine podman "$version"
}

# found_engine NAME VERSION: whole only now.
found_engine() {
    echo "$2" >"$ENGINES/.$1"
    note "$2"
    changed "unpacked $1's container engine in $ENGINES"
}

# suite_lists SUITE: from now on in this step apt knows that suite alone, and none of this machine's packages.
suite_lists() {
    local own=$PWD/$ENGINES/apt-$1 mirror
    mirror=$(host_mirror Debian)
    mkdir -p "$own/lists/partial" "$own/cache/archives/partial"
    : >"$own/status"
    echo "deb [signed-by=$DEBIAN_KEYS] ${mirror:-http://deb.debian.org/debian} $1 main" >"$own/sources.list"
    cat >"$own/apt.conf" <<-CONF
		Dir::Etc::SourceList "$own/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::State::Lists "$own/lists";
		Dir::State::Status "$own/status";
		Dir::Cache "$own/cache";
		APT::Sandbox::User "$(id -un)";
		Acquire::Languages "none";
	CONF
    export APT_CONFIG=$own/apt.conf
    apt-get update
}

# download DIRECTORY PACKAGE...
download() {
    rm -rf "$1"
    mkdir -p "$1"
    ( cd "$1" && apt-get download "${@:2}" )
}

# unpack PACKAGES NAME: the engine gets its name when it is whole; manuals are of no use to a test.
unpack() {
    local half=$ENGINES/$2.half package directory
    rm -rf "$half" "${ENGINES:?}/$2"
    for package in "$1"/*.deb; do dpkg-deb --extract "$package" "$half"; done
    rm -rf "$half"/usr/share/{doc,man,lintian,bash-completion,zsh,fish}
    # /lib and its kin are links to /usr/lib where these files will lie.
    for directory in bin sbin lib; do
        [[ ! -d $half/$directory ]] || { cp -a "$half/$directory" "$half/usr/"; rm -r "${half:?}/$directory"; }
    done
    mv "$half" "$ENGINES/$2"
    rm -r "$1"
}
