#!/usr/bin/env bash
# ConvNeXt-Tiny from scratch, otherwise as train_convnext_pretrained.sh: learning rate 1e-6 x batch 8 = 8e-6.
#
#     DATA_DIR=/path/to/clips bash TRAINING/train_convnext.sh [further flags of main.py]
#
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

start_training convnext 150 \
    --debug --augmentation --backbone convnext \
    --batch_size 8 --lr 1e-6 --beta1 0.9 --lr_patience_epochs 10 --lr_decay_factor 0.5 \
    --epochs_per_eval 2 --early_stopping_patience_epochs 20 \
    "${PUBLISHED_SIGNAL[@]}" "$@"
