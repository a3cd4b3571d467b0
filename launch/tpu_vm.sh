#!/usr/bin/env bash
# One training on all hosts of a TPU VM, on spot capacity if SPOT=1:
#   NAME=kd ZONE=us-west4-a DISK=projects/P/zones/us-west4-a/disks/runs \
#     launch/tpu_vm.sh --config=configs/cifar100/kd.py --workdir=/mnt/runs/kd \
#     --data_dir=/mnt/runs/data --config.teacher.workdir=/mnt/runs/wrn_28_4
#   TYPE=v5litepod-64 SHARE=10.0.0.2:/runs NAME=kd ZONE=... launch/tpu_vm.sh ...
# Runs live on DISK, a formatted persistent disk, or, for several hosts, on SHARE, which
# they mount by NFS; both outlast the VM, which this script replaces when it is taken
# away. Google's API for TPU VMs gets fixes only and has no TPU7x: prefer gke_tpu.yaml.
set -uo pipefail
: "${NAME:?the name of the VM}" "${ZONE:?its zone}"
: "${DISK:-${SHARE:?or DISK, where the runs live}}"
TYPE=${TYPE:-v5litepod-8}
VERSION=${VERSION:-v2-alpha-tpuv5-lite}
RESTARTS=${RESTARTS:-50}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
vm=(gcloud compute tpus tpu-vm)
where=("$NAME" "--zone=$ZONE")
train="~/venv/bin/python -m kdjax train $(printf '%q ' "$@")"

on_vm() {
  "${vm[@]}" ssh "${where[@]}" --worker=all --command="$1"
}

make_vm() {
  "${vm[@]}" create "${where[@]}" --accelerator-type="$TYPE" --version="$VERSION" \
    ${DISK:+"--data-disk=source=$DISK,mode=read-write"} ${SPOT:+--spot}
}

# In every round: it may have failed the last time, a host may have started anew without
# its mount, and after a lost connection a training may still be at work.
set_up() {
  on_vm "pkill -TERM -f '[k]djax train'
    for i in {1..150}; do pgrep -f '[k]djax train' >/dev/null || break; sleep 1; done
    pkill -KILL -f '[k]djax train'; mkdir -p kdjax" || return
  "${vm[@]}" scp --recurse --worker=all "${where[@]:1}" "$root/kdjax" "$root/configs" \
    "$root/requirements.txt" "$root/requirements-gcs.txt" "$NAME:kdjax/" || return
  on_vm "{ [ -e ~/venv/whole ] || { sudo apt-get install -qq python3.11-venv nfs-common &&
      python3.11 -m venv ~/venv && ~/venv/bin/pip install --quiet \
      -r kdjax/requirements.txt -r kdjax/requirements-gcs.txt 'jax[tpu]>=0.10,<0.13' && touch ~/venv/whole; }; } &&
    sudo mkdir -p /mnt/runs && { mountpoint -q /mnt/runs ||
      sudo mount ${SHARE:-/dev/sdb} /mnt/runs; } &&"' sudo chown "$USER" /mnt/runs'
}

for ((restart = 0; restart <= RESTARTS; restart++)); do
  state=$("${vm[@]}" describe "${where[@]}" --format='value(state)' 2>/dev/null)
  if [ "$state" != READY ]; then
    # Of a VM that was taken away the name is left.
    [ -z "$state" ] || "${vm[@]}" delete "${where[@]}" --quiet
    make_vm || { sleep "${WAIT:-60}"; continue; }
  fi
  set_up || { sleep "${WAIT:-60}"; continue; }
  on_vm "cd kdjax && exec $train"
  code=$?
  # 42: saved, go on. The others: a host or the connection is gone. The rest is for people.
  case $code in 42 | 129 | 134 | 137 | 143 | 255) ;; *) exit $code ;; esac
  sleep "${WAIT:-60}"
done
echo "tpu_vm.sh: given up after $RESTARTS restarts; the same command goes on" >&2
exit 42
