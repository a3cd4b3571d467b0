#!/usr/bin/env bash
# CIFAR-100, WRN-28-4 -> WRN-16-2 by the protocol of "KL versus MSE", alpha 1: a teacher,
# then CE, tau 1, 3, 5, 20, infinity and MSE in one program. README.md beside this file
# says what it needs; --help which options there are.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# exec: signals reach the training itself, which saves before it stops.
exec "${PYTHON:-python3}" -m kdjax.reproduce cifar100 "$@"
