#!/usr/bin/env bash
# What is most worth knowing of an accelerator, for whoever has one for 15 minutes.
#
#   launch/accelerator.sh [SECONDS]    # 840; `make accelerator` is the same
#
# Stages run in order of worth. Each has a limit of its own and writes its answer below
# $OUT (runs/accelerator) before the next one starts; the same command goes on with what
# is not done. Exit codes: 0 all done, 42 there is more, others of the stage that failed.
# DATA=FILE.npz, of `python -m kdjax prepare cifar100 --npz=FILE.npz`, trains with the
# time that is left. Needs jax, jaxtyping, flax, optax, orbax-checkpoint and numpy in
# $PYTHON (python3); PyTorch is timed beside where it is installed.
set -uo pipefail
end=$((SECONDS + ${1:-840}))
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${OUT:=runs/accelerator}" && out=$(cd "$OUT" && pwd) || exit 4
python=${PYTHON:-python3} result=0
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$out/programs}"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 XLA_PYTHON_CLIENT_MEM_FRACTION=.85

stage() { # NAME SECONDS COMMAND...: once, with a limit
  local name=$1 limit=$2 started=$SECONDS left=$((end - SECONDS - 10)) code; shift 2
  [ -e "$out/$name.done" ] && return
  if [ "$left" -lt "${LEAST:-25}" ]; then
    echo "$name: no time left" | tee -a "$out/log"; result=42; return
  fi
  timeout --signal=INT --kill-after=8 $((limit < left ? limit : left)) "$@" \
    >>"$out/$name.out" 2>>"$out/$name.err"
  code=$?
  echo "$name: code $code after $((SECONDS - started)) s" | tee -a "$out/log"
  case $code in
    0) touch "$out/$name.done" ;;
    42 | 124 | 137) [ "$result" != 0 ] || result=42 ;; # saved, or its time was up
    *) result=$code ;;
  esac
}

bench=("$python" -m kdjax bench --json --repeats=3)
facts='import jax; d = jax.devices(); print(jax.__version__, d, d[0].device_kind)'
stage facts 60 sh -c 'nvidia-smi; nproc; exec "$0" -c "$1"' "$python" "$facts"
stage wrn_float32 90 "${bench[@]}" --students=1 --modes=live,cached,input
stage resnet_bfloat16 120 "${bench[@]}" --pair=resnet34:resnet18 --image_size=224 \
  --classes=1000 --batch_size=256 --dtype=bfloat16 --students=1 --modes=live,cached
stage wrn_bfloat16 80 "${bench[@]}" --dtype=bfloat16 --students=1 --modes=live,cached
if "$python" -c 'import torch' 2>>"$out/log"; then
  stage torch 200 "$python" -m benchmarks.run --rounds=3 --seconds=3 \
    --only="kdjax live,torch plain,torch best,torch amp" --json="$out/torch.json"
fi
stage grid_bfloat16 120 "${bench[@]}" --dtype=bfloat16 --students=8 --modes=live
minutes=$(((end - SECONDS - 40) / 60))
if [ -n "${DATA:-}" ] && [ "$minutes" -gt 0 ]; then
  stage cifar100 3600 "$python" -m kdjax reproduce cifar100 --data="$DATA" \
    --runs="$out/runs" --results="$out/results" --once --minutes="$minutes"
fi
exit "$result"
