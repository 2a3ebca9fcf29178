#!/usr/bin/env bash
# Several networks and their average in one file: the surest answer for few clips, and the slowest.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_ensemble.sh [further flags of main.py]
#
# MEMBERS names the scripts that train them (train_<member>.sh), by default "recommended few_clips";
# each is trained once for each of SEEDS, by default "0 1 2". few_clips builds on BirdNET, which is
# not for commercial use: MEMBERS=recommended does without it.
# AT_ONCE=2 trains two side by side, each with its share of the cores and a GPU of its own where
# there are several. On several machines with one file system, RESUME=<folder> SHARD=1/3 trains the
# first third, and so on; the same command without SHARD then averages all.
# After an interruption, RESUME=<folder of the run> and the same command go on.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

# labelled NAME COMMAND...: run a program; each line that it prints begins with the name.
labelled() {
    local name="$1"
    shift
    run "$@" > >(label "$name") 2> >(label "$name" >&2)
}

label() {
    local line
    while IFS= read -r line || [[ -n "$line" ]]; do
        printf '%s: %s\n' "$1" "$line"
    done
}

# divided NUMBER PARTS: print a part of it, at least 1.
divided() {
    echo $(($1 >= $2 ? $1 / $2 : 1))
}

# gpu_of K: print which GPU the K-th of those side by side takes, nothing if there is none.
gpu_of() {
    local -a gpus=()
    local line
    if [[ -n "${CUDA_VISIBLE_DEVICES+set}" ]]; then
        IFS=, read -r -a gpus <<<"$CUDA_VISIBLE_DEVICES"
    else
        while IFS= read -r line; do
            gpus+=("${#gpus[@]}")
        done < <(nvidia-smi -L 2>/dev/null | grep '^GPU ' || true)
    fi
    if ((${#gpus[@]})); then
        echo "${gpus[$1 % ${#gpus[@]}]}"
    fi
}

# train_side_by_side FLAG...: train all members, AT_ONCE at a time, by this script with SHARD. A
# request to stop is handed on; one that fails does not stop the others.
train_side_by_side() {
    local k child cores status=0 asked=0 signal
    local -a children=() with=()
    if setpriv --pdeathsig TERM -- true 2>/dev/null; then
        with=(setpriv --pdeathsig TERM --)
    fi
    cores="$(divided "${ANIMAL_SPOT_CORES:-$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)}" "$AT_ONCE")"
    set -m # in process groups of their own: what is typed in the terminal does not reach them twice
    for ((k = 0; k < AT_ONCE; k++)); do
        (
            gpu="$(gpu_of "$k")"
            if [[ -n "$gpu" ]]; then
                export CUDA_VISIBLE_DEVICES="$gpu"
            fi
            export RESUME="$all" SHARD="$((k + 1))/$AT_ONCE" ANIMAL_SPOT_CORES="$cores"
            export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$cores}"
            exec ${with[@]+"${with[@]}"} bash "${BASH_SOURCE[0]}" "$@" </dev/null
        ) &
        children+=("$!")
    done
    set +m
    for signal in INT:130 TERM:143 HUP:129; do
        trap "asked=${signal#*:}; kill -${signal%:*} ${children[*]} 2>/dev/null || true" "${signal%:*}"
    done
    for child in "${children[@]}"; do
        while kill -0 "$child" 2>/dev/null; do # a signal ends the waiting, not the program
            wait "$child" || true
        done
        wait "$child" || status=1
    done
    trap - INT TERM HUP
    if ((asked)); then
        status=$asked
    fi
    return "$status"
}

require_data
read -r -a members <<<"${MEMBERS:-recommended few_clips}"
read -r -a seeds <<<"${SEEDS:-0 1 2}"
if ((${#members[@]} * ${#seeds[@]} < 2)); then
    fail "MEMBERS and SEEDS give ${#members[@]} x ${#seeds[@]} networks; an average needs two"
fi
for member in "${members[@]}"; do
    if [[ ! -f "$ROOT/TRAINING/train_$member.sh" || "$member" == ensemble ]]; then
        fail "MEMBERS names $member, but there is no script train_$member.sh for one network"
    fi
done
at_once="${AT_ONCE:-1}" shard="${SHARD:-}"
if [[ ! "$at_once" =~ ^[1-9][0-9]?$ ]]; then
    fail "AT_ONCE is how many networks are trained side by side, from 1 to 99, not $at_once"
fi
if [[ -n "$shard" ]]; then
    if [[ ! "$shard" =~ ^([1-9][0-9]?)/([1-9][0-9]?)$ ]] \
        || ((BASH_REMATCH[1] > BASH_REMATCH[2])); then
        fail "SHARD is a part of all networks, such as 1/3, not $shard"
    fi
    if [[ -z "${RESUME:-}" ]]; then
        fail "SHARD needs RESUME=<folder of the run>, the same for all; it may be new"
    fi
    if ((at_once > 1)); then
        fail "AT_ONCE and SHARD are two ways to divide the networks; take one"
    fi
    mkdir -p -- "$RESUME"
fi
if [[ -n "${RESUME:-}" ]]; then
    all="$RESUME"
    if [[ ! -d "$all" ]]; then
        fail "RESUME $all does not exist or is not a folder"
    fi
else
    all="$(new_run ensemble)"
fi
unset RESUME AT_ONCE SHARD

# go_on_with STATUS: end with one line after a network that was not finished.
go_on_with() {
    echo "to go on with all networks: RESUME=$(quoted "$all") and the same command" >&2
    exit $(($1 > 128 ? $1 : 1))
}

if ((at_once > 1)) && [[ -z "$shard" ]]; then
    mkdir -p -- "$all"
    n_members=$((${#members[@]} * ${#seeds[@]}))
    AT_ONCE=$((at_once < n_members ? at_once : n_members))
    status=0
    train_side_by_side "$@" || status=$?
    if ((status)); then
        go_on_with "$status"
    fi
fi
models=()
number=0 failed=0
for seed in "${seeds[@]}"; do
    for member in "${members[@]}"; do
        run="$all/${member}_$seed"
        models+=("$run/model/ANIMAL-SPOT.pk")
        number=$((number + 1))
        if [[ -n "$shard" ]] && (((number - ${shard%/*}) % ${shard#*/})); then
            continue # another's
        fi
        if [[ ! -f "$run/model/results.json" ]]; then # it is written last
            train=(run)
            if [[ -n "$shard" ]]; then
                train=(labelled "${member}_$seed")
            fi
            status=0
            MEMBER_DIR="$run" "${train[@]}" bash "$ROOT/TRAINING/train_$member.sh" --seed "$seed" "$@" \
                || status=$?
            if ((status)); then
                failed=$status
                ((status > 128)) && break 2
                [[ -z "$shard" ]] && break 2
            fi
        fi
    done
done
if [[ -n "$shard" ]]; then
    exit "$failed"
fi
if ((failed)); then
    go_on_with "$failed"
fi
if [[ -e "$all/ensemble.pk" ]]; then
    echo "ensemble is there: $all/ensemble.pk"
    exit 0
fi
python="$(find_python)"
run "$python" "$ROOT/ANIMAL-SPOT/ensemble.py" "${models[@]}" --data_dir "$DATA_DIR" \
    --output "$all/ensemble.pk"
