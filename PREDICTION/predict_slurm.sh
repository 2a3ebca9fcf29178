#!/usr/bin/env bash
# Find calls in an archive with many jobs of a Slurm cluster, and make the tables when all are done.
#
#     MODEL=run1/model/ANIMAL-SPOT.pk RECORDINGS=/archive OUTPUT_DIR=/results \
#         ./PREDICTION/predict_slurm.sh [further flags of predict.py]
#
# Start it on the login node. SHARDS (default: 8) is the number of jobs, SBATCH_FLAGS what each is
# given, such as "--time=8:00:00 --cpus-per-task=4 --mem=8G". All nodes must see this folder, model,
# recordings and results at the same places. Started again, it does what is missing.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/../TRAINING/common.sh"

SHARDS="${SHARDS:-8}"
for name in MODEL RECORDINGS OUTPUT_DIR; do
    if [[ -z "${!name:-}" || "${!name}" == /path/to/* ]]; then
        fail "$name is not set; type MODEL=my/ANIMAL-SPOT.pk RECORDINGS=my/recordings \
OUTPUT_DIR=my/results $(quoted "$0")"
    fi
    if [[ "${!name}" == *$'\n'* ]]; then
        fail "$name holds a line break"
    fi
done
protect_paths MODEL RECORDINGS OUTPUT_DIR
for name in MODEL RECORDINGS; do
    if [[ ! -e "${!name}" ]]; then
        fail "$name ${!name} does not exist"
    fi
done
if [[ ! "$SHARDS" =~ ^[1-9][0-9]{0,4}$ ]]; then
    fail "SHARDS must be a whole number from 1 to 99999, got $SHARDS"
fi
if ! command -v sbatch >/dev/null; then
    fail "sbatch was not found: start this on the login node of a Slurm cluster, or see docs/archives.md"
fi

# words WORD...: print words so that a shell reads them as they are.
words() {
    local word
    for word in "$@"; do
        printf '%s ' "$(quoted "$word")"
    done
}

python="$(find_python)"
mkdir -p -- "$OUTPUT_DIR/jobs"
read -r -a flags <<<"${SBATCH_FLAGS:-}"
logs="$OUTPUT_DIR/jobs"
predict=("$python" "$ROOT/ANIMAL-SPOT/predict.py" --model_path "$MODEL" --input_file "$RECORDINGS"
    --output_dir "$OUTPUT_DIR" "$@" --shard)
merge=("$python" "$ROOT/ANIMAL-SPOT/merge.py" "$OUTPUT_DIR")
job="$(sbatch --parsable --job-name=predict --array="1-$SHARDS" --output="$logs/%a.txt" \
    ${flags[@]+"${flags[@]}"} --wrap="exec $(words "${predict[@]}")\"\$SLURM_ARRAY_TASK_ID\"/$SHARDS")"
job="${job%%;*}" # what follows names the cluster
# Also after a job that failed: merge says which shard is missing.
sbatch --parsable --job-name=merge --dependency="afterany:$job" --output="$logs/merge.txt" \
    --wrap="exec $(words "${merge[@]}")" >/dev/null
echo "jobs: $job, shards 1 to $SHARDS; what they say: $logs"
echo "results: $OUTPUT_DIR, and summary.csv when $logs/merge.txt says so"
