#!/usr/bin/env bash
# ConvNeXt-Tiny from scratch, otherwise as train_convnext_pretrained.sh: TRAINING/presets/published_convnext.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_convnext.sh [further flags of main.py]
#
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

start_training convnext --preset published_convnext "$@"
