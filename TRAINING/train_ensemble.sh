#!/usr/bin/env bash
# Several networks and their average in one file: the surest answer for few clips, and the slowest.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_ensemble.sh [further flags of main.py]
#
# MEMBERS names the scripts that train them (train_<member>.sh), by default "recommended few_clips";
# each is trained once for each of SEEDS, by default "0 1 2". few_clips builds on BirdNET, which is
# not for commercial use: MEMBERS=recommended does without it.
# After an interruption, RESUME=<folder of the run> and the same command go on.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

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
if [[ -n "${RESUME:-}" ]]; then
    all="$RESUME"
    if [[ ! -d "$all" ]]; then
        fail "RESUME $all does not exist or is not a folder"
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
            status=0
            MEMBER_DIR="$run" run bash "$ROOT/TRAINING/train_$member.sh" --seed "$seed" "$@" || status=$?
            if ((status)); then
                echo "to go on with all networks: RESUME=$(quoted "$all") and the same command" >&2
                exit $((status > 128 ? status : 1))
            fi
        fi
        models+=("$run/model/ANIMAL-SPOT.pk")
    done
done
if [[ -e "$all/ensemble.pk" ]]; then
    echo "ensemble is there: $all/ensemble.pk"
    exit 0
fi
python="$(find_python)"
run "$python" "$ROOT/ANIMAL-SPOT/ensemble.py" "${models[@]}" --data_dir "$DATA_DIR" \
    --output "$all/ensemble.pk"
