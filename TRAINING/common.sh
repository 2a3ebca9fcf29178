#!/usr/bin/env bash
# Sourced by the scripts here and in PREDICTION: finds Python and the data, makes the output
# folders, runs programs.
#
# From the environment: DATA_DIR, OUTPUT_DIR, NUM_WORKERS, EPOCHS, CACHE_DIR, PRETRAINED_WEIGHTS,
# NOISE_CLASS, and RESUME, the folder of an interrupted run to go on with. train_ensemble.sh tells
# the others with MEMBER_DIR what folder to train into, new or not.

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
    echo "common.sh is a part of the other scripts; start one of those" >&2
    exit 2
fi

ROOT="$(CDPATH= cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"

# fail LINE: end with one line.
fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# quoted TEXT: print a text so that it may be typed into a shell.
quoted() {
    local quote="'\\''"
    printf "'%s'" "${1//\'/$quote}"
}

# protect_paths NAME...: put ./ before paths that begin with -, which programs take for options.
protect_paths() {
    local name
    for name in "$@"; do
        if [[ "${!name:-}" == -* ]]; then
            printf -v "$name" '%s' "./${!name}"
        fi
    done
}

protect_paths DATA_DIR OUTPUT_DIR CACHE_DIR PRETRAINED_WEIGHTS RESUME MEMBER_DIR

# Puts into noise_flags what mixes background sounds into training clips. NOISE_CLASS names their
# class, by default noise if there are clips called noise-*; NOISE_CLASS= (empty) leaves that out.
set_noise_flags() {
    local mixed="${NOISE_CLASS:-}"
    if [[ -z "${NOISE_CLASS+set}" && -d "${DATA_DIR:-}" ]] && has_noise_clips; then
        mixed=noise
    fi
    noise_flags=()
    if [[ -n "$mixed" ]]; then
        noise_flags=("--noise_from_class=$mixed")
    fi
}

# Tells whether DATA_DIR holds clips called noise-*, in a format that clips have.
has_noise_clips() {
    local suffix
    local -a suffixes=(-iname '*.wav')
    for suffix in flac ogg oga opus mp3 aif aiff aifc au caf w64 rf64; do
        suffixes+=(-o -iname "*.$suffix")
    done
    [[ -n "$(find -L "$DATA_DIR/" -name 'noise-*' \( "${suffixes[@]}" \) -print -quit 2>/dev/null)" ]]
}

# Puts into weights_flags where pretrained weights are, if PRETRAINED_WEIGHTS names a file.
set_weights_flags() {
    weights_flags=()
    if [[ -n "${PRETRAINED_WEIGHTS:-}" ]]; then
        weights_flags=(--pretrained_weights "$PRETRAINED_WEIGHTS")
    fi
}

# Ends with one line if DATA_DIR is not the folder of the clips.
require_data() {
    if [[ -z "${DATA_DIR:-}" ]]; then
        fail "DATA_DIR is not set; type DATA_DIR=/path/to/clips $(quoted "$0"), or to try it with made-up \
calls: make -C $(quoted "$ROOT") demo-data && DATA_DIR=$(quoted "$ROOT/demo/clips") $(quoted "$0")"
    fi
    if [[ ! -d "$DATA_DIR" ]]; then
        fail "DATA_DIR $DATA_DIR does not exist or is not a folder"
    fi
}

# Prints the Python to use: that of the project's environment if there is one. Programs say
# themselves what to do where it lacks their packages.
find_python() {
    local candidate
    for candidate in "$ROOT"/{.venv,venv}/{bin/python,Scripts/python.exe}; do
        if [[ -x "$candidate" ]]; then
            echo "$candidate"
            return
        fi
    done
    if ! command -v python3 >/dev/null; then
        fail "no Python was found: install Python 3.10 to 3.13, then type make in $ROOT"
    fi
    echo python3
}

# run COMMAND...: run a program and return its status. A request to stop (Ctrl-C, kill, the
# terminal was closed) is handed on to it, once; where this script is killed, Linux ends it.
run() {
    local status=0 asked=0 signal child
    local -a with=()
    if setpriv --pdeathsig TERM -- true 2>/dev/null; then
        with=(setpriv --pdeathsig TERM --)
    fi
    set -m # in a process group of its own: what is typed in the terminal does not reach it twice
    ${with[@]+"${with[@]}"} "$@" </dev/null &
    child=$!
    set +m
    for signal in INT:130 TERM:143 HUP:129; do
        trap "asked=${signal#*:}; kill -${signal%:*} $child 2>/dev/null || true" "${signal%:*}"
    done
    # Ctrl-Z stops both, fg wakes both.
    trap "kill -STOP -$child; kill -STOP \$\$; kill -CONT -$child || true" TSTP
    while kill -0 "$child" 2>/dev/null; do # a signal ends the waiting, not the program
        wait "$child" || true
    done
    wait "$child" || status=$?
    trap - INT TERM HUP TSTP
    if ((status == 0)); then
        status=$asked
    fi
    return "$status"
}

# print_tensorboard LABEL FOLDER: print the command that shows how a training went.
print_tensorboard() {
    local python program
    python="$(find_python)"
    program="${python%/*}/tensorboard"
    if [[ "$python" == */* && -x "$program" ]]; then
        program="$(quoted "$program")"
    else
        program="$(quoted "$python") -m tensorboard.main"
    fi
    echo "$1 $program --logdir $(quoted "$2")"
}

# new_run NAME: prints <OUTPUT_DIR>/NAME_<time>, a folder that is not there yet.
new_run() {
    local run
    run="${OUTPUT_DIR:-$ROOT/outputs}/${1}_$(date +%Y-%m-%d_%H-%M)"
    if [[ -e "$run" ]]; then # a second run in this minute
        run="${run}-$(date +%S)-$$"
    fi
    echo "$run"
}

# start_training NAME FLAG...: train into <OUTPUT_DIR>/NAME_<time>. EPOCHS wins over a preset.
start_training() {
    local name="$1"
    shift
    require_data
    local run
    if [[ -n "${MEMBER_DIR:-}" ]]; then
        run="$MEMBER_DIR"
    elif [[ -n "${RESUME:-}" ]]; then
        run="$RESUME"
        if [[ ! -d "$run/checkpoints" ]]; then
            fail "RESUME $run is not the folder of a run: it has no checkpoints"
        fi
    else
        run="$(new_run "$name")"
    fi
    local arguments=(
        --data_dir "$DATA_DIR"
        --model_dir "$run/model"
        --checkpoint_dir "$run/checkpoints"
        --log_dir "$run/logs"
        --summary_dir "$run/summaries"
        --num_workers "${NUM_WORKERS:-8}"
    )
    if [[ -n "${NOISE_CLASS:-}" ]]; then
        arguments+=("--noise_class=$NOISE_CLASS")
    fi
    if [[ -n "${EPOCHS:-}" ]]; then
        arguments+=(--max_train_epochs "$EPOCHS")
    fi
    if [[ -n "${CACHE_DIR:-}" ]]; then
        arguments+=(--cache_dir "$CACHE_DIR")
    fi
    local status=0 python
    python="$(find_python)" || exit 1
    run "$python" "$ROOT/ANIMAL-SPOT/main.py" "${arguments[@]}" "$@" || status=$?
    if ((status)); then
        if [[ -z "${MEMBER_DIR:-}" && -n "$(ls -A "$run/checkpoints" 2>/dev/null)" ]]; then
            echo "to go on with this run: RESUME=$(quoted "$run") and the same command" >&2
        fi
        return "$status"
    fi
    echo "log: $run/logs/TRAIN.log" # the program has named the other files
}
