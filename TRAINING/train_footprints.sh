#!/usr/bin/env bash
# Train the footprint classifier: look the photos over, crop them, train both stages, score them.
#
#     OAT_DIR=/path/to/OpenAnimalTracks REAL_DIR=/path/to/photos DETECTOR=/path/to/detector.pt \
#         ./TRAINING/train_footprints.sh [further flags of footprints.train]
#
# From the environment:
#   OAT_DIR     OpenAnimalTracks: [cropped_imgs/]{train,val}/<class>/; stage one is trained on it
#   REAL_DIR    your photos, <class>/; stage two is trained on them. May be left out
#   OTHERS_DIR  photos of animals that are no class, in any folders, which goes with REAL_DIR
#   DETECTOR    .pt or .onnx file of footprints.train_detector; default none: centre crops
#   WEIGHTS     imagenet (default, downloaded), none, or a file
#   OUTPUT_DIR  default: outputs/footprints here. The same command goes on with what is there
#   VAL_FRACTION, TEST_FRACTION, SEED   of prepare; with TEST_FRACTION=0.15 the final score is honest
#   PROCESSES   that crop at a time; default: one a core
#   SCALES      of prepare: crop (default), or "crop photo": the whole photo is looked at too
#   IMAGE_SIZE  side of the crops in pixels, default 224
set -euo pipefail

source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

OUTPUT_DIR="${OUTPUT_DIR:-$ROOT/outputs/footprints}"
protect_paths OAT_DIR REAL_DIR OTHERS_DIR DETECTOR WEIGHTS OUTPUT_DIR
python="$(find_python)"
some_left_out=0

# step NAME FLAG...: run a step; status 3 says that some photos could not be used, and the rest goes on.
step() {
    local name="$1" status=0
    shift
    echo
    echo "== $name"
    run "$python" "$ROOT/TRAINING/run_module.py" "footprints.$name" "$@" || status=$?
    if ((status == 3)); then
        some_left_out=1
    elif ((status)); then
        exit "$status"
    fi
}

if [[ -z "${OAT_DIR:-}" && -z "${REAL_DIR:-}" ]]; then
    fail "neither OAT_DIR nor REAL_DIR is set; type OAT_DIR=/path/to/OpenAnimalTracks \
REAL_DIR=/path/to/photos $(quoted "$0"), or to try it with drawn prints: \
$(quoted "$ROOT/TRAINING/footprints_demo.sh")"
fi
for name in OAT_DIR REAL_DIR OTHERS_DIR; do
    if [[ -n "${!name:-}" && ! -d "${!name}" ]]; then
        fail "$name ${!name} does not exist or is not a folder"
    fi
done

data=()
stage=all
if [[ -n "${OAT_DIR:-}" ]]; then
    step audit "$OAT_DIR" --output "$OUTPUT_DIR/audit_oat.json"
    data+=(--oat_dir "$OAT_DIR")
else
    stage=real
fi
if [[ -n "${REAL_DIR:-}" ]]; then
    step audit "$REAL_DIR" --output "$OUTPUT_DIR/audit_real.json"
    data+=(--real_dir "$REAL_DIR")
    [[ -z "${OTHERS_DIR:-}" ]] || data+=(--others "$OTHERS_DIR")
else
    stage=oat
fi

options=(--seed "${SEED:-0}")
[[ -z "${VAL_FRACTION:-}" ]] || options+=(--val_fraction "$VAL_FRACTION")
[[ -z "${TEST_FRACTION:-}" ]] || options+=(--test_fraction "$TEST_FRACTION")
[[ -z "${PROCESSES:-}" ]] || options+=(--processes "$PROCESSES")
[[ -z "${IMAGE_SIZE:-}" ]] || options+=(--image_size "$IMAGE_SIZE")
if [[ -n "${SCALES:-}" ]]; then
    read -r -a scales <<<"$SCALES"
    options+=(--scales "${scales[@]}")
fi
step prepare "${data[@]}" --detector "${DETECTOR:-none}" --output_dir "$OUTPUT_DIR/prepared" \
    "${options[@]}"
step train --stage "$stage" --data_dir "$OUTPUT_DIR/prepared" --output_dir "$OUTPUT_DIR/models" \
    --weights "${WEIGHTS:-imagenet}" --seed "${SEED:-0}" "$@"

scored=()
for set in oat real; do
    model="$OUTPUT_DIR/models/mobilenet_$set.keras"
    if [[ ! -d "$OUTPUT_DIR/prepared/$set" || ! -f "$model" ]]; then
        continue
    fi
    split=val
    if [[ -n "$(find "$OUTPUT_DIR/prepared/$set/test/" -name '*.png' -print -quit 2>/dev/null)" ]]; then
        split=test
    fi
    step evaluate --model "$model" --data_dir "$OUTPUT_DIR/prepared/$set" --split "$split" \
        --output_dir "$OUTPUT_DIR/scores_$set"
    scored+=("$set")
done

echo
echo "left out, and why: $OUTPUT_DIR/prepared/<set>/left_out.csv"
for set in ${scored[@]+"${scored[@]}"}; do
    echo "model of $set:  $OUTPUT_DIR/models/mobilenet_$set.keras"
    echo "scores of $set: $OUTPUT_DIR/scores_$set/scores.json, confusion.png"
done
print_tensorboard "TensorBoard:      " "$OUTPUT_DIR/models/logs"
if ((some_left_out)); then
    exit 3
fi
