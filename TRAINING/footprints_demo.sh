#!/usr/bin/env bash
# Some minutes: draw prints, train a detector and both stages on them, name new photos.
# What it learns in that time is little; it shows that everything works and where results are.
#
#     ./TRAINING/footprints_demo.sh
#
# From the environment: DEMO_DIR (default: demo/footprints here), N_PER_CLASS (default: 20 drawn
# photos of a class), DETECTOR_EPOCHS and EPOCHS. A second run only does what is missing.
set -euo pipefail

source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

DEMO_DIR="${DEMO_DIR:-$ROOT/demo/footprints}"
protect_paths DEMO_DIR
EPOCHS="${EPOCHS:-12}"
python="$(find_python)"

step() {
    local name="$1"
    shift
    run "$python" "$ROOT/TRAINING/run_module.py" "footprints.$name" "$@"
}

step synthesise --output_dir "$DEMO_DIR/drawn" --n_per_class "${N_PER_CLASS:-20}"
if [[ ! -f "$DEMO_DIR/detector/detector.pt" ]]; then
    step train_detector --data "$DEMO_DIR/drawn/detector/data.yaml" \
        --weights "$ROOT/TRAINING/yolo_small.yaml" --imgsz 160 --batch 8 --threads 1 --lr 0.006 --mosaic 0 \
        --epochs "${DETECTOR_EPOCHS:-25}" --output_dir "$DEMO_DIR/detector"
fi
OAT_DIR="$DEMO_DIR/drawn/oat" REAL_DIR="$DEMO_DIR/drawn/real" WEIGHTS=none IMAGE_SIZE=96 \
    DETECTOR="$DEMO_DIR/detector/detector.pt" OUTPUT_DIR="$DEMO_DIR/trained" \
    run bash "$ROOT/TRAINING/train_footprints.sh" --epochs_oat "$EPOCHS" --head_epochs "$EPOCHS" \
    --unfreeze 0 --cached_views 4
# After so little training nothing is sure; without a threshold it says what it thinks all the same.
step predict "$DEMO_DIR/drawn/photos" --annotate --threshold 0 \
    --model "$DEMO_DIR/trained/models/mobilenet_real.keras" \
    --detector "$DEMO_DIR/detector/detector.pt" --output_dir "$DEMO_DIR/predictions"
step report "$DEMO_DIR"
echo
echo "drawn photos:     $DEMO_DIR/drawn"
echo "detector:         $DEMO_DIR/detector/detector.pt, its figures in scores.json"
echo "crops:            $DEMO_DIR/trained/prepared"
echo "classifier:       $DEMO_DIR/trained/models/mobilenet_real.keras"
echo "its scores:       $DEMO_DIR/trained/scores_real/scores.json, confusion.png"
echo "answers:          $DEMO_DIR/predictions/predictions.csv (truth: drawn/photos_truth.csv)"
echo "photos with boxes: $DEMO_DIR/predictions/annotated"
echo "all of it to see: $DEMO_DIR/report.html"
