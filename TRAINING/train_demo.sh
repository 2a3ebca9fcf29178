#!/usr/bin/env bash
# A few minutes on a laptop: ResNet-18 on the clips of `make demo-data`: TRAINING/presets/demo.
set -euo pipefail
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

NUM_WORKERS="${NUM_WORKERS:-2}" start_training demo --preset demo "$@"
