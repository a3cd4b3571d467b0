#!/usr/bin/env bash
# CIFAR-100, resnet56 -> resnet20 and WRN-40-2 -> WRN-16-2 by RepDistiller's protocol:
# teachers, students by labels, then kd, dtd_la, lr_mse and lr_ds in one program. README.md
# beside this file says what it needs; --help which options there are.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# exec: signals reach the training itself, which saves before it stops.
exec "${PYTHON:-python3}" -m kdjax.reproduce repdistiller "$@"
