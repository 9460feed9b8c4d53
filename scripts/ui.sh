# shellcheck shell=bash disable=SC2034,SC2153,SC2154  # run.sh and scripts/ share their names
# What a person sees: one line and a duration for each step, a bar or a spinner on a terminal, the end of
# the log and the next command to type when a step fails. People read stderr; stdout is left for results.
#
# `step` runs its function in a process group of its own with the output in $LOGS/NAME.log, so that Ctrl-C
# ends all of it; such a function decides nothing for later steps, since its variables end with it.

exec 3>&2                # the terminal, also where a step's own output goes to its log

ON_TERMINAL=no
[[ -t 3 && ${TERM:-dumb} != dumb ]] && ON_TERMINAL=yes
if [[ $ON_TERMINAL = yes && -z ${NO_COLOR:-} ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' DIM='' PLAIN=''
fi

QUIET=no                 # --quiet: only failures and the result
CHILD=''                 # process group of the step that runs
BEGAN=$EPOCHREALTIME

say()  { [[ $QUIET = yes ]] || printf '%s\n' "$*" >&3; }
warn() { printf '%s\n' "${BOLD}warning:${PLAIN} $*" >&3; }

# fail STATUS FACT [NEXT STEP]: ends this process. Within a step the text lands in its log, and `step` shows it.
fail() {
    local out=3
    [[ $BASHPID = "$$" ]] || out=2
    printf '%s\n' "${RED}error:${PLAIN} $2" >&"$out"
    [[ -z ${3:-} ]] || printf '%s\n' "${BOLD}hint:${PLAIN} $3" >&"$out"
    exit "$1"
}

# seconds_since START: with one digit, START being an $EPOCHREALTIME.
seconds_since() {
    local now=${EPOCHREALTIME//[.,]/} then=${1//[.,]/}
    local tenths=$(( (now - then) / 100000 ))
    printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}

# note TEXT: what the running step found, shown at the end of its line ("present", "pulled").
note() { printf '%s' "$*" >"$LOGS/.note"; }

# changed WHAT: records that this run changed something on this machine, for the closing words.
changed() { printf '%s\n' "$*" >>"$LOGS/.changed"; }

# step LABEL LOG FUNCTION [ARGUMENT...]
step() {
    local label=$1 log=$LOGS/$2.log began=$EPOCHREALTIME status=0
    shift 2
    mkdir -p "$LOGS"
    rm -f "$LOGS/.note"
    [[ $ON_TERMINAL = yes ]] || say "  ....  $label"
    set -m
    ( trap - EXIT INT TERM HUP; "$@" ) >"$log" 2>&1 </dev/null 3>&- &
    CHILD=$!
    set +m
    [[ $ON_TERMINAL = no || $QUIET = yes ]] || watch_step "$label" "$log" "$began"
    wait "$CHILD" || status=$?
    CHILD=''
    if (( status != 0 )); then
        step_failed "$label" "$log" "$status" "$(seconds_since "$began")"
    fi
    step_done "$label" "$(seconds_since "$began")"
}

step_done() {
    local found=''
    [[ ! -s $LOGS/.note ]] || found=": $(<"$LOGS/.note")"
    rm -f "$LOGS/.note"
    clear_line
    say "$(printf '  %sok%s    %-52s %7s s' "$GREEN" "$PLAIN" "$1$found" "$2")"
}

step_failed() {
    local label=$1 log=$2 status=$3 took=$4
    clear_line
    printf '  %sFAIL%s  %-52s %7s s\n' "$RED" "$PLAIN" "$label" "$took" >&3
    tail -n 20 "$log" | tr '\r' '\n' | tail -n 20 | sed 's/^/      | /' >&3
    printf '%serror:%s %s: failed (exit %s); all of its output: %s\n' "$RED" "$PLAIN" "$label" "$status" "$log" >&3
    grep -q 'hint:' "$log" ||
        printf '%shint:%s put that right and type %s again\n' \
            "$BOLD" "$PLAIN" "$AGAIN" >&3
    case $status in 2 | 3 | 130) exit "$status" ;; *) exit 1 ;; esac
}

clear_line() { [[ $ON_TERMINAL = no ]] || printf '\r\e[K' >&3; }

# watch_step LABEL LOG START: draws until the child has ended.
watch_step() {
    local turn=0 wheel="|/-\\"
    while kill -0 "$CHILD" 2>/dev/null; do
        draw "$1" "$2" "$3" "${wheel:turn++ % 4:1}"
        sleep 0.2
    done
}

draw() {
    local last bar line
    last=$(tail -c 600 "$2" | tr '\r' '\n' | tr -cd '[:print:]\n' | grep -v '^ *$' | tail -n 1 || true)
    bar=$(bar_from_log "$2")
    line="  $4     $1  $(seconds_since "$3") s  ${bar}"
    printf '\r\e[K%s%s%s%s' "$line" "$DIM" "${last:0:$(room_after "${#line}")}" "$PLAIN" >&3
}

room_after() {
    local width=${COLUMNS:-}
    [[ -n $width ]] || width=$(tput cols 2>/dev/null || echo 80)
    echo $(( width - $1 - 1 > 0 ? width - $1 - 1 : 0 ))
}

# bar_from_log LOG: a bar where the log itself counts: "Step 4/12" (classic builder), "[build 4/12]" (BuildKit),
# "waited 40/600 s", "read 16/4096 MiB" (ours).
bar_from_log() {
    local count done_ total width=20
    count=$(tail -c 4000 "$1" | grep -oE '(Step |\[[a-z0-9 -]*|waited |read )[0-9]+/[0-9]+' | tail -n 1 | grep -oE '[0-9]+/[0-9]+$' || true)
    [[ -n $count ]] || return 0
    done_=${count%/*} total=${count#*/}
    (( total > 0 && done_ <= total )) || return 0
    local full=$(( width * done_ / total ))
    printf '[%s%s] %s  ' "$(printf '%*s' "$full" '' | tr ' ' '#')" "$(printf '%*s' $((width - full)) '')" "$count"
}

CHILD_GRACE=10           # seconds that an interrupted step may take to end; a deploy puts containers back first

# stop_child: ends the running step and everything it started; sudo's children are root's.
stop_child() {
    [[ -n $CHILD ]] || return 0
    local group=-$CHILD turns=0
    kill -TERM -- "$group" 2>/dev/null || "${SUDO[@]}" kill -TERM -- "$group" 2>/dev/null || true
    while kill -0 -- "$group" 2>/dev/null && (( turns++ < CHILD_GRACE * 5 )); do sleep 0.2; done
    kill -KILL -- "$group" 2>/dev/null || "${SUDO[@]}" kill -KILL -- "$group" 2>/dev/null || true
    CHILD=''
}

# interrupted SIGNAL STATUS: every step is whole or repeated by the next run, so there is nothing to undo here.
interrupted() {
    trap '' INT TERM HUP
    stop_child
    clear_line
    printf '%s\n' "${BOLD}interrupted.${PLAIN} Type $AGAIN to go on where it stopped." >&3
    exit "$1"
}

trap 'interrupted 130' INT
trap 'interrupted 143' TERM HUP

finish() {
    stop_child
    [[ -z ${SUDO_KEEPER:-} ]] || kill "$SUDO_KEEPER" 2>/dev/null || true
}
trap finish EXIT
