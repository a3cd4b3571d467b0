#!/usr/bin/env bash
# One training on the nodes of a SLURM cluster, or a job array of them, from the root of
# the repository, which the nodes must see, as they must --workdir and --data_dir:
#   sbatch launch/slurm.sh --config=configs/cifar100/kd.py --workdir=/runs/kd \
#     --data_dir=/runs/data --config.teacher.workdir=/runs/wrn_28_4
#   sbatch --nodes=4 --gpus-per-node=8 launch/slurm.sh --config=... --workdir=/runs/kd
#   sbatch --array=0-4 launch/slurm.sh --config=... --workdir=/runs/kd
#   KDJAX=sweep sbatch --array=0-11 launch/slurm.sh --config=... \
#     --trials=trials.jsonl --workdir=/runs/sweep
# A node has one task for all its GPUs, or with --ntasks-per-node=8 --cpus-per-task=8 one
# for each; srun numbers them. In an array each job is a seed, or with KDJAX=sweep a
# trial, in a directory of its own; a grid of methods belongs in one program instead.
#SBATCH --job-name=kdjax
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the end the step, not this script, gets the signal to save.
#SBATCH --signal=TERM@120
set -uo pipefail

config='' workdir='' rest=()
for word in "$@"; do
  case $word in
    --config=*) config=${word#*=} ;;
    --workdir=*) workdir=${word#*=} ;;
    *) rest+=("$word") ;;
  esac
done
if [ -z "$config" ] || [ -z "$workdir" ]; then
  echo "slurm.sh: expected --config=FILE and --workdir=DIR" >&2
  exit 2
fi
job=${SLURM_JOB_ID:-}
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  job=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
  if [ "${KDJAX:-train}" = sweep ]; then
    rest+=("--trial=$SLURM_ARRAY_TASK_ID")
  else
    workdir=$workdir/seed-$SLURM_ARRAY_TASK_ID
    rest+=("--config.seed=$SLURM_ARRAY_TASK_ID")
  fi
fi

# The tasks end each other; srun would turn the last one's 42 into a signal's code, and
# some versions of it give a task one core where nobody says how many.
srun --kill-on-bad-exit=0 --wait=300 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  "${PYTHON:-python3}" -m kdjax "${KDJAX:-train}" --config="$config" \
  --workdir="$workdir" "${rest[@]}"
code=$?
# 42: stopped with its state saved; the others: a host was lost. The budget keeps a job
# that is always stopped from going round for ever; all other codes are for people.
case $code in
  42 | 129 | 134 | 137 | 143 | 255)
    [ "${SLURM_RESTART_COUNT:-0}" -ge "${RESTARTS:-100}" ] || exec scontrol requeue "$job" ;;
esac
exit $code
