#!/usr/bin/env bash
# What needs a GPU, in one table: tests, speed of prediction and training, agreement with the CPU,
# torchrun. Runs in 8 minutes on a machine with PyTorch; says what is missing.
#
#     tests/bench/gpu_check.sh                  on the GPU
#     DEVICE=cpu tests/bench/gpu_check.sh       the same small, to see that the script works
#     PYTHON=python3 tests/bench/gpu_check.sh floor agreement
#
# ends with 1 if something is missing, fails or is slower than wanted.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
links=$(mktemp -d) # the package, where it is not installed
trap 'rm -rf "$links"' EXIT
ln -s "$PWD/ANIMAL-SPOT" "$links/animal_spot"
PYTHONPATH="$links${PYTHONPATH:+:$PYTHONPATH}" "$PYTHON" -m tests.bench.gpu_check \
    --device "${DEVICE:-cuda}" "$@"
