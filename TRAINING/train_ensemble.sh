#!/usr/bin/env bash
# Several networks and their average in one file: the surest answer for few clips, and the slowest.
#
#     DATA_DIR=/path/to/clips bash TRAINING/train_ensemble.sh [further flags of main.py]
#
# MEMBERS names the scripts that train them (train_<member>.sh), by default "transfer few_clips";
# each is trained once for each of SEEDS, by default "0 1 2". few_clips builds on BirdNET, which is
# not for commercial use: MEMBERS=transfer does without it.
# After an interruption, RESUME=<folder of the run> and the same command go on.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

require_data
members=(${MEMBERS:-transfer few_clips})
seeds=(${SEEDS:-0 1 2})
if ((${#members[@]} * ${#seeds[@]} < 2)); then
    echo "MEMBERS and SEEDS give ${#members[@]} x ${#seeds[@]} networks; an average needs two" >&2
    exit 1
fi
for member in "${members[@]}"; do
    if [[ ! -f "$ROOT/TRAINING/train_$member.sh" || "$member" == ensemble ]]; then
        echo "MEMBERS names $member, but there is no script train_$member.sh for one network" >&2
        exit 1
    fi
done
if [[ -n "${RESUME:-}" ]]; then
    all="$RESUME"
    if [[ ! -d "$all" ]]; then
        echo "RESUME $all does not exist or is not a folder" >&2
        exit 1
    fi
else
    all="$(new_run ensemble)"
fi
unset RESUME

models=()
for seed in "${seeds[@]}"; do
    for member in "${members[@]}"; do
        run="$all/${member}_$seed"
        if [[ ! -f "$run/model/results.json" ]]; then # it is written last
            if ! MEMBER_DIR="$run" bash "$ROOT/TRAINING/train_$member.sh" --seed "$seed" "$@"; then
                echo "to go on with all networks: RESUME='$all' and the same command" >&2
                exit 1
            fi
        fi
        models+=("$run/model/ANIMAL-SPOT.pk")
    done
done
if [[ -e "$all/ensemble.pk" ]]; then
    echo "ensemble is there: $all/ensemble.pk"
    exit 0
fi
"$(find_python)" "$ROOT/ANIMAL-SPOT/ensemble.py" "${models[@]}" --data_dir "$DATA_DIR" \
    --output "$all/ensemble.pk"
