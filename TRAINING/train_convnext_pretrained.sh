#!/usr/bin/env bash
# ConvNeXt-Tiny from ImageNet weights with the published cetacean settings: learning rate 1e-6 x batch 8 = 8e-6.
#
#     DATA_DIR=/path/to/clips bash TRAINING/train_convnext_pretrained.sh [further flags of main.py]
#
# Set PRETRAINED_WEIGHTS to a local torchvision state-dict file where there is no network.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

weights=()
if [[ -n "${PRETRAINED_WEIGHTS:-}" ]]; then
    weights=(--pretrained_weights "$PRETRAINED_WEIGHTS")
fi
start_training convnext_pretrained 150 \
    --debug --augmentation --backbone convnext --pretrained \
    --batch_size 8 --lr 1e-6 --beta1 0.9 --lr_patience_epochs 10 --lr_decay_factor 0.5 \
    --epochs_per_eval 2 --early_stopping_patience_epochs 20 \
    "${PUBLISHED_SIGNAL[@]}" ${weights[@]+"${weights[@]}"} "$@"
