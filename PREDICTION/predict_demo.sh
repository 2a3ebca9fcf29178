#!/usr/bin/env bash
# Find calls in a synthesised recording with the model of `make demo`, and score what was found.
# From the environment: MODEL (default: that of the newest demo run in OUTPUT_DIR, default: outputs)
# and DEMO_DIR (default: demo), where recording and results go.
set -euo pipefail

source "$(dirname -- "${BASH_SOURCE[0]}")/../TRAINING/common.sh"

DEMO_DIR="${DEMO_DIR:-$ROOT/demo}"
protect_paths DEMO_DIR MODEL
if [[ -z "${MODEL:-}" ]]; then
    for run in "${OUTPUT_DIR:-$ROOT/outputs}"/demo_*; do # in the order of their times
        [[ -f "$run/model/ANIMAL-SPOT.pk" ]] && MODEL="$run/model/ANIMAL-SPOT.pk"
    done
fi
if [[ -z "${MODEL:-}" ]]; then
    fail "no model of the demo in ${OUTPUT_DIR:-$ROOT/outputs}; train one: $(quoted "$ROOT/TRAINING/train_demo.sh")"
fi

python="$(find_python)"
run "$python" "$ROOT/ANIMAL-SPOT/synthesise_recording.py" --output_dir "$DEMO_DIR/recordings"
run "$python" "$ROOT/ANIMAL-SPOT/predict.py" --model_path "$MODEL" \
    --input_file "$DEMO_DIR/recordings" --output_dir "$DEMO_DIR/predictions"
run "$python" "$ROOT/ANIMAL-SPOT/evaluate.py" --prediction_dir "$DEMO_DIR/predictions" \
    --output_dir "$DEMO_DIR/annotations" --truth_dir "$DEMO_DIR/recordings"
run "$python" "$ROOT/ANIMAL-SPOT/report.py" "$(dirname -- "$MODEL")" "$DEMO_DIR/predictions" \
    "$DEMO_DIR/annotations" --output "$DEMO_DIR/report.html"
echo
echo "report:      $DEMO_DIR/report.html"
echo "Raven table: $DEMO_DIR/annotations/recording1.Table.1.selections.txt"
echo "scores:      $DEMO_DIR/annotations/scores.json, scores.csv, confusion.png"
review=("$python" "$ROOT/ANIMAL-SPOT/review.py" --predictions "$DEMO_DIR/predictions"
    --project "$DEMO_DIR/review.sqlite")
echo "look, listen:$(for word in "${review[@]}"; do echo -n " $(quoted "$word")"; done)"
