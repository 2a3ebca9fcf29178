#!/usr/bin/env bash
# Find calls in a synthesised recording with the model of `make demo`, and score what was found.
# From the environment: MODEL (default: that of the newest demo run), OUTPUT_DIR (default: demo).
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
OUTPUT_DIR="${OUTPUT_DIR:-$ROOT/demo}"
PYTHON="$ROOT/.venv/bin/python"
[[ -x "$PYTHON" ]] || PYTHON=python3
if [[ -z "${MODEL:-}" ]]; then
    for run in "$ROOT"/outputs/demo_*; do # in the order of their times
        [[ -f "$run/model/ANIMAL-SPOT.pk" ]] && MODEL="$run/model/ANIMAL-SPOT.pk"
    done
fi
if [[ -z "${MODEL:-}" ]]; then
    echo "no model of the demo in $ROOT/outputs; train one: bash TRAINING/train_demo.sh" >&2
    exit 1
fi

"$PYTHON" "$ROOT/ANIMAL-SPOT/synthesise_recording.py" --output_dir "$OUTPUT_DIR/recordings"
"$PYTHON" "$ROOT/ANIMAL-SPOT/predict.py" --model_path "$MODEL" \
    --input_file "$OUTPUT_DIR/recordings" --output_dir "$OUTPUT_DIR/predictions" --hop 0.2
"$PYTHON" "$ROOT/ANIMAL-SPOT/evaluate.py" --prediction_dir "$OUTPUT_DIR/predictions" \
    --output_dir "$OUTPUT_DIR/annotations" --truth_dir "$OUTPUT_DIR/recordings" --threshold 0.6
echo
echo "Raven table: $OUTPUT_DIR/annotations/recording1_predict_output.log.annotation.result.txt"
echo "scores:      $OUTPUT_DIR/annotations/scores.json, .csv and .png"
