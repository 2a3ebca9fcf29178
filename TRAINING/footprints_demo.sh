#!/usr/bin/env bash
# Three minutes: draw prints, train a detector and both stages on them, name new photos.
# The last lines say how many of ten new photos were named right, and where everything is.
#
#     ./TRAINING/footprints_demo.sh
#
# From the environment: DEMO_DIR (default: demo/footprints here), N_PER_CLASS (default: 100 drawn
# photos of a class), DETECTOR_EPOCHS, EPOCHS and SEED. A second run only does what is missing.
set -euo pipefail

source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

DEMO_DIR="${DEMO_DIR:-$ROOT/demo/footprints}"
protect_paths DEMO_DIR
EPOCHS="${EPOCHS:-30}"
SEED="${SEED:-0}"
python="$(find_python)"

step() {
    local name="$1"
    shift
    run "$python" "$ROOT/TRAINING/run_module.py" "footprints.$name" "$@"
}

step synthesise --output_dir "$DEMO_DIR/drawn" --n_per_class "${N_PER_CLASS:-100}" --seed "$SEED"
if [[ ! -f "$DEMO_DIR/detector/detector.pt" ]]; then
    step train_detector --data "$DEMO_DIR/drawn/detector/data.yaml" --seed "$SEED" \
        --weights "$ROOT/TRAINING/yolo_small.yaml" --imgsz 160 --batch 8 --threads 1 --lr 0.006 --mosaic 0 \
        --epochs "${DETECTOR_EPOCHS:-10}" --output_dir "$DEMO_DIR/detector"
fi
# No ImageNet weights, so that no network is needed: every layer learns, from the first stage on.
# Animals that there are not teach it what is none of its classes; the stranger is not among them.
# It may refuse more photos of its classes than by default, so that it refuses more strangers.
OAT_DIR="$DEMO_DIR/drawn/oat" REAL_DIR="$DEMO_DIR/drawn/real" OTHERS_DIR="$DEMO_DIR/drawn/others" WEIGHTS=none IMAGE_SIZE=96 SEED="$SEED" \
    DETECTOR="$DEMO_DIR/detector/detector.pt" OUTPUT_DIR="$DEMO_DIR/trained" \
    run bash "$ROOT/TRAINING/train_footprints.sh" --cached_views 4 --views 8 \
    --epochs_oat "$EPOCHS" --patience_oat 10 --unfreeze_oat 157 --lr_fine 5e-4 \
    --head_epochs 10 --epochs_real "$((EPOCHS * 2 / 3 + 1))" --patience_real 8 --unfreeze 157 --lr_real 3e-4 \
    --batch_real 16 --known_kept 0.85
step predict "$DEMO_DIR/drawn/photos" --annotate --contact_sheet \
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
echo "all answers in one picture: $DEMO_DIR/predictions/contact_sheet.jpg"
echo "all of it to see: $DEMO_DIR/report.html"
echo
run "$python" "$ROOT/TRAINING/footprints_demo_answers.py" "$DEMO_DIR/drawn/photos_truth.csv" \
    "$DEMO_DIR/predictions/predictions.json"
