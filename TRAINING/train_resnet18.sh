#!/usr/bin/env bash
# ResNet-18 from scratch with the published cetacean settings: learning rate 5e-6 x batch 8 = 4e-5.
#
#     DATA_DIR=/path/to/clips bash TRAINING/train_resnet18.sh [further flags of main.py]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

start_training resnet18 150 \
    --debug --augmentation --backbone resnet --resnet 18 \
    --batch_size 8 --lr 5e-6 --beta1 0.5 --lr_patience_epochs 8 --lr_decay_factor 0.5 \
    --epochs_per_eval 2 --early_stopping_patience_epochs 20 \
    "${PUBLISHED_SIGNAL[@]}" "$@"
