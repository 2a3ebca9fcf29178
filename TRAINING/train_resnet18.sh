#!/usr/bin/env bash
# ResNet-18 from scratch with the published cetacean settings: TRAINING/presets/published_resnet18.
#
#     DATA_DIR=/path/to/clips ./TRAINING/train_resnet18.sh [further flags of main.py]
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

start_training resnet18 --preset published_resnet18 "$@"
