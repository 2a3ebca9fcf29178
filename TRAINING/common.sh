#!/usr/bin/env bash
# Sourced by the train_*.sh scripts: finds Python and the data, makes the output folders.
#
# From the environment: DATA_DIR, OUTPUT_DIR, NUM_WORKERS, EPOCHS, CACHE_DIR, PRETRAINED_WEIGHTS,
# NOISE_CLASS, and RESUME, the folder of an interrupted run to go on with. train_ensemble.sh tells
# the others with MEMBER_DIR what folder to train into, new or not.

if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
    echo "common.sh is a part of the train_*.sh scripts; start one of those" >&2
    exit 2
fi

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Puts into noise_flags what mixes background sounds into training clips. NOISE_CLASS names their
# class, by default noise if there are clips called noise-*; NOISE_CLASS= (empty) leaves that out.
set_noise_flags() {
    if [[ -z "${NOISE_CLASS+set}" && -d "${DATA_DIR:-}" ]] &&
        [[ -n "$(find -L "$DATA_DIR" -name 'noise-*.[wW][aA][vV]' -print -quit 2>/dev/null)" ]]; then
        NOISE_CLASS=noise
    fi
    noise_flags=()
    if [[ -n "${NOISE_CLASS:-}" ]]; then
        noise_flags=(--noise_from_class "$NOISE_CLASS")
    fi
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
        echo "DATA_DIR is not set. Name the folder of your clips:" >&2
        echo "    DATA_DIR=/path/to/clips bash $0" >&2
        echo "or try the synthetic corpus first:" >&2
        echo "    make -C '$ROOT' demo-data && DATA_DIR='$ROOT/demo/data' bash $0" >&2
        exit 1
    fi
    if [[ ! -d "$DATA_DIR" ]]; then
        echo "DATA_DIR $DATA_DIR does not exist or is not a folder" >&2
        exit 1
    fi
}

# Prints the Python to use: that of the project's environment if there is one.
find_python() {
    local candidate
    for candidate in "$ROOT/.venv/bin/python" "$ROOT/venv/bin/python"; do
        if [[ -x "$candidate" ]]; then
            echo "$candidate"
            return
        fi
    done
    echo python3
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
            echo "RESUME $run is not the folder of a run: it has no checkpoints" >&2
            exit 1
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
    if [[ -n "${EPOCHS:-}" ]]; then
        arguments+=(--max_train_epochs "$EPOCHS")
    fi
    if [[ -n "${CACHE_DIR:-}" ]]; then
        arguments+=(--cache_dir "$CACHE_DIR")
    fi
    local status=0
    "$(find_python)" "$ROOT/ANIMAL-SPOT/main.py" "${arguments[@]}" "$@" || status=$?
    if ((status)); then
        if [[ -z "${MEMBER_DIR:-}" && -n "$(ls -A "$run/checkpoints" 2>/dev/null)" ]]; then
            echo "to go on with this run: RESUME='$run' and the same command" >&2
        fi
        return "$status"
    fi
    echo
    echo "model:              $run/model/ANIMAL-SPOT.pk"
    echo "log:                $run/logs/TRAIN.log"
    echo "accuracy per class: $run/model/results.json, table in the log"
    echo "TensorBoard:        tensorboard --logdir '$run/summaries'"
}
