#!/usr/bin/env bash
# CIFAR-100 by RepDistiller's protocol. README.md beside this file says more.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" -m kdjax reproduce repdistiller "$@"
