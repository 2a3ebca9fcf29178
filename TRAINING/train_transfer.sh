#!/usr/bin/env bash
# The former name of train_recommended.sh.
set -euo pipefail
echo "train_transfer.sh is called train_recommended.sh now" >&2
exec bash "$(dirname -- "${BASH_SOURCE[0]}")/train_recommended.sh" "$@"
