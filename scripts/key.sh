# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# The private key: the demo's own pair, or the person's (--key). The toolbox container is never root, so it runs
# as the key file's owner with the file mounted. A file that only root may read is neither copied nor chowned:
# its text is streamed to the toolbox's standard input, followed, for an encrypted key, by one line with the
# passphrase. Nothing secret stands in an argument or in the environment.

DEMO_KEY=$STATE/keys/id_rsa
NOBODY=65532             # owner of the demo key where only root is there to own it

KEY=$DEMO_KEY            # the key of this run
KEY_MODE=mount           # or stream
KEY_ENCRYPTED=no

# make_demo_key: once; a half-made pair never has the final name.
make_demo_key() {
    [[ ! -s $DEMO_KEY ]] || return 0
    local half=$STATE/keys/half-made
    mkdir -p "$STATE/keys"
    chmod 700 "$STATE/keys"
    rm -f "$half" "$half.pub"
    ssh-keygen -q -t rsa -b 3072 -N '' -C toolbox-demo -f "$half"
    (( EUID != 0 )) || chown "$(person_uid):$(person_gid)" "$half" "$half.pub"
    sha256sum <"$half" >"$STATE/keys/made"
    mv "$half.pub" "$DEMO_KEY.pub"
    mv "$half" "$DEMO_KEY"
    give_to_person "$STATE"
    note "RSA 3072, in $DEMO_KEY"
    changed "made the demo key"
}

# made_the_key: the key in our directory is the one made here; a person may have put their own in its place.
made_the_key() { [[ -f $DEMO_KEY && $(sha256sum <"$DEMO_KEY") = "$(cat "$STATE/keys/made" 2>/dev/null)" ]]; }

person_uid() { [[ ${SUDO_UID:-0} != 0 ]] && echo "$SUDO_UID" || echo "$NOBODY"; }
person_gid() { [[ ${SUDO_UID:-0} != 0 ]] && echo "${SUDO_GID:-$SUDO_UID}" || echo "$NOBODY"; }

# prepare_key: decides KEY_MODE and KEY_ENCRYPTED, and what compose is told about it.
prepare_key() {
    if [[ -n $KEY_OPTION ]]; then
        KEY=$KEY_OPTION
    else
        [[ -s $DEMO_KEY ]] || step "Demo key pair" key make_demo_key
    fi
    check_key_file
    public_half
    if [[ $(stat -L -c %u "$KEY") = 0 ]] || { [[ $KEY_ENCRYPTED = yes ]] && ! can_ask_in_container; }; then
        KEY_MODE=stream
        PASSED+=(TOOLBOX_KEY_FILE=/dev/null "TOOLBOX_UID=$NOBODY" "TOOLBOX_GID=$NOBODY")
    elif [[ $KEY != "$DEMO_KEY" ]]; then
        PASSED+=("TOOLBOX_KEY_FILE=$(realpath "$KEY")" "TOOLBOX_UID=$(stat -L -c %u "$KEY")" "TOOLBOX_GID=$(stat -L -c %g "$KEY" | sed "s/^0\$/$NOBODY/")")
    fi
}

# The toolbox asks for a passphrase itself where it gets our terminal.
can_ask_in_container() { has_terminal && [[ -z ${TOOLBOX_SSH_PASSPHRASE_FILE:-} ]]; }
has_terminal() { [[ -t 0 && -t 1 ]]; }

# check_key_file: there, readable by us alone, and a private key; says which of these it is not.
check_key_file() {
    local words
    [[ -e $KEY ]] || fail 2 "no key: $KEY does not exist" "--key FILE names a private key, for example --key ~/.ssh/id_rsa"
    [[ -f $KEY ]] || fail 2 "no key: $KEY is not a file" "--key FILE names a private key"
    [[ -r $KEY ]] || fail 2 "the key $KEY is not readable by $(id -un)" "sudo $AGAIN"
    (( (8#$(stat -L -c %a "$KEY") & 8#077) == 0 )) ||
        fail 2 "the key $KEY is open to others (mode $(stat -L -c %a "$KEY")); ssh refuses such a key" "chmod 600 $KEY"
    [[ -z $(tail -c 1 "$KEY") ]] || fail 2 "the last line of $KEY has no newline; ssh refuses such a key" "echo >>$KEY"
    words=$(ssh-keygen -y -P '' -f "$KEY" 2>&1 >/dev/null) && return 0
    case $words in
        *passphrase*)        KEY_ENCRYPTED=yes ;;
        *)                   fail 2 "$KEY is no private key that ssh understands (${words##*: })" "ssh-keygen -y -f $KEY" ;;
    esac
}

# public_half: what a demo VM authorises: the .pub beside the key, else taken from an unencrypted key.
public_half() {
    local text
    [[ -z $HOST ]] || return 0
    if [[ -s $KEY.pub ]]; then
        text=$(<"$KEY.pub")
    elif [[ $KEY_ENCRYPTED = no ]]; then
        text=$(ssh-keygen -y -P '' -f "$KEY")
    else
        fail 2 "the public half $KEY.pub is missing, and the encrypted key does not show it" "ssh-keygen -y -f $KEY > $KEY.pub"
    fi
    if [[ $KEY = "$DEMO_KEY" ]]; then
        [[ -s $KEY.pub ]] || printf '%s\n' "$text" >"$KEY.pub"
    else
        PASSED+=("VM_AUTHORIZED_KEY=$text")
    fi
}

# stream_key: the key's text and, for an encrypted one, its passphrase as the line after it.
stream_key() {
    cat "$KEY"
    [[ $KEY_ENCRYPTED = no ]] || printf '%s\n' "$PASSPHRASE"
}

# ask_passphrase: before the stream starts, since the container's input is no terminal then.
ask_passphrase() {
    [[ $KEY_MODE = stream && $KEY_ENCRYPTED = yes && -z ${PASSPHRASE:-} ]] || return 0
    if [[ -n ${TOOLBOX_SSH_PASSPHRASE_FILE:-} ]]; then
        [[ -r $TOOLBOX_SSH_PASSPHRASE_FILE ]] ||
            fail 2 "TOOLBOX_SSH_PASSPHRASE_FILE: $TOOLBOX_SSH_PASSPHRASE_FILE is not readable" "name a readable file"
        IFS= read -r PASSPHRASE <"$TOOLBOX_SSH_PASSPHRASE_FILE" || [[ -n $PASSPHRASE ]]
        return
    fi
    { : </dev/tty; } 2>/dev/null ||
        fail 2 "$KEY has a passphrase, and there is no terminal to ask for it" "TOOLBOX_SSH_PASSPHRASE_FILE=FILE $AGAIN"
    IFS= read -rs -p "Passphrase for $KEY: " PASSPHRASE </dev/tty
    printf '\n' >&3
}
