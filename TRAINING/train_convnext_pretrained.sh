#!/usr/bin/env bash
# ConvNeXt-Tiny from ImageNet weights with the published settings: TRAINING/presets/published_convnext.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_convnext_pretrained.sh [further flags of main.py]
#
# Set PRETRAINED_WEIGHTS to a local torchvision state-dict file where there is no network.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

set_weights_flags
start_training convnext_pretrained --preset published_convnext --pretrained \
    ${weights_flags[@]+"${weights_flags[@]}"} "$@"
