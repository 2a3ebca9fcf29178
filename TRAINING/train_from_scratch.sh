#!/usr/bin/env bash
# ResNet-18 from random weights, for small data sets: TRAINING/presets/from_scratch.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_from_scratch.sh [further flags of main.py]
#
# The network hears 3 s at a time; set --sequence_len to the length of your clips if it differs.
# It was chosen for calls between 300 Hz and 12 kHz; set --fmin and --fmax if yours lie elsewhere.
# The training clips of a class of background sounds are mixed into the others: NOISE_CLASS names
# it, by default noise if there are clips called noise-*; NOISE_CLASS= (empty) leaves that out.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

set_noise_flags
start_training from_scratch --preset from_scratch ${noise_flags[@]+"${noise_flags[@]}"} "$@"
