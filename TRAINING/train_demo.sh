#!/usr/bin/env bash
# A few minutes on a laptop: ResNet-18 on the synthetic corpus of `make demo-data`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

NUM_WORKERS="${NUM_WORKERS:-2}" start_training demo 16 \
    --start_from_scratch --augmentation --backbone resnet --resnet 18 \
    --batch_size 16 --lr 3e-5 --beta1 0.9 --epochs_per_eval 2 \
    --sr 44100 --sequence_len 1000 --n_fft 1024 --hop_length 441 \
    --n_freq_bins 128 --fmin 500 --fmax 10000 --min_max_norm "$@"
