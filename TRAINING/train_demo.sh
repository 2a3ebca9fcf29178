#!/usr/bin/env bash
# A few minutes on a laptop: ResNet-18 on the synthetic corpus of `make demo-data`.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

NUM_WORKERS="${NUM_WORKERS:-2}" start_training demo --max_train_epochs "${EPOCHS:-16}" \
    --backbone resnet --resnet 18 \
    --sr 44100 --sequence_len 1200 --n_fft 2048 --hop_length 441 \
    --n_freq_bins 96 --freq_compression mel --fmin 300 --fmax 10000 --min_max_norm \
    --augmentation --time_shift --pitch_range 0.9 1.1 --stretch_range 0.9 1.1 \
    --batch_size 16 --optimizer adamw --weight_decay 0.05 --beta1 0.9 \
    --scheduler onecycle --lr 1e-4 --epochs_per_eval 2 --val_metric loss "$@"
