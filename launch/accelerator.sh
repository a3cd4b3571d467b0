#!/usr/bin/env bash
# What is most worth knowing of an accelerator, for whoever has one for 15 minutes.
#
#   launch/accelerator.sh [SECONDS]    # 840; `make accelerator` is the same
#
# Stages run in order of worth. Each has a limit of its own and writes its answer below
# $OUT (runs/accelerator) before the next one starts; the same command goes on with what
# is not done. At the end all of it is one table, $OUT/accelerator.md, and of a real
# accelerator benchmarks/accelerator.md. Exit codes: 0 all done, 42 there is more, others
# of the stage that failed. DATA=FILE.npz, of `python -m kdjax prepare cifar100
# --npz=FILE.npz`, trains with the time that is left. Needs jax, jaxtyping, flax, optax,
# orbax-checkpoint and numpy in $PYTHON (python3); PyTorch is timed beside where it is
# installed. REHEARSAL=1 runs every stage with small networks and a few steps.
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

# Of an option that is given twice the last one counts, so these come last.
small=() quick=() grid=8 publish=(--publish="$root/benchmarks/accelerator.md")
if [ -n "${REHEARSAL:-}" ]; then
  small=(--pair=wrn_16_1:wrn_16_1 --image_size=8 --batch_size=8 --steps=2 --devices=1)
  quick=(--quick) grid=2 publish=()
fi
bench() { # NAME SECONDS OPTION...
  local name=$1 limit=$2; shift 2
  stage "$name" "$limit" "$python" -m kdjax bench --json --repeats=3 "$@" "${small[@]}"
}
torch() { # NAME SECONDS OPTION...
  local name=$1 limit=$2; shift 2
  stage "$name" "$limit" "$python" -m benchmarks.run --rounds=3 --seconds=3 \
    --json="$out/$name.json" "$@" "${quick[@]}"
}
resnet=(--pair=resnet34:resnet18 --image_size=224 --classes=1000 --batch_size=256
  --dtype=bfloat16)

stage facts 60 sh -c 'nvidia-smi; exec "$0" -m benchmarks.accelerator facts' "$python"
bench wrn_float32 90 --students=1 --modes=live,cached,input
bench resnet_bfloat16 120 "${resnet[@]}" --students=1 --modes=live,cached
bench wrn_bfloat16 80 --dtype=bfloat16 --students=1 --modes=live,cached
if "$python" -c 'import torch' 2>/dev/null; then beside=1; else
  beside='' && echo "PyTorch is not installed: its loops are left out" | tee -a "$out/log"
fi
[ -z "$beside" ] || torch torch 200 --only="kdjax live,torch plain,torch best,torch amp"
bench grid_bfloat16 180 --dtype=bfloat16 --students=$grid --modes=live,cached
[ -z "$beside" ] ||
  torch torch_resnet 150 "${resnet[@]}" --only="kdjax live,torch amp"
bench resnet_streamed 70 "${resnet[@]}" --students=1 --modes=streamed
"$python" -m benchmarks.accelerator table "$out" "${publish[@]}" >>"$out/log" || result=$?
minutes=$(((end - SECONDS - 40) / 60))
if [ -n "${DATA:-}" ] && [ "$minutes" -gt 0 ]; then
  stage cifar100 3600 "$python" -m kdjax reproduce cifar100 --data="$DATA" \
    --runs="$out/runs" --results="$out/results" --once --minutes="$minutes"
fi
exit "$result"
