#!/usr/bin/env bash
# ResNet-18 from scratch for small data sets: what did best on real orca calls here (CHANGES.md).
#
#     DATA_DIR=/path/to/clips bash TRAINING/train_recommended.sh [further flags of main.py]
#
# The network hears 3 s at a time; set --sequence_len to the length of your clips if it differs.
# It was chosen for calls between 300 Hz and 12 kHz; set --fmin and --fmax if yours lie elsewhere.
# The training clips of a class of background sounds are mixed into the others: NOISE_CLASS names
# it, by default noise if there are clips called noise-*; NOISE_CLASS= (empty) leaves that out.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [[ -z "${NOISE_CLASS+set}" && -n "$(find -L "${DATA_DIR:-.}" -name 'noise-*.wav' -print -quit)" ]]; then
    NOISE_CLASS=noise
fi
mixing=()
if [[ -n "${NOISE_CLASS:-}" ]]; then
    mixing=(--noise_from_class "$NOISE_CLASS" --noise_probability 0.75)
fi
start_training recommended 60 \
    --debug --backbone resnet --resnet 18 --max_pool 1 \
    --sr 32000 --sequence_len 3000 --n_fft 1024 --hop_length 500 \
    --n_freq_bins 96 --freq_compression mel --fmin 300 --fmax 12000 --min_max_norm \
    --filter_broken_audio --augmentation --time_shift --random_filter 3 \
    --pitch_range 0.8 1.25 --stretch_range 0.8 1.25 ${mixing[@]+"${mixing[@]}"} \
    --batch_size 16 --optimizer adamw --weight_decay 0.05 --beta1 0.9 \
    --scheduler onecycle --lr 2e-4 --label_smoothing 0.1 \
    --epochs_per_eval 2 --early_stopping_patience_epochs 60 --val_metric loss "$@"
