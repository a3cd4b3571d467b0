#!/usr/bin/env bash
# CIFAR-100 by the protocol of "KL versus MSE", alpha 1. README.md beside this file says more.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" -m kdjax reproduce cifar100 "$@"
