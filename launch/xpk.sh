#!/usr/bin/env bash
# One training on all TPU hosts of a slice, or of SLICES, of a cluster that xpk made:
#   CLUSTER=c IMAGE=kdjax-tpu NAME=kd \
#     launch/xpk.sh --config=configs/cifar100/kd.py --workdir=/runs/kd \
#     --data_dir=/runs/data --config.teacher.workdir=/runs/wrn_28_4
#   TYPE=v5litepod-64 CLUSTER=c IMAGE=kdjax-tpu NAME=kd launch/xpk.sh ...
# IMAGE is what Containerfile.tpu builds, where the cluster can pull it from. The
# cluster needs a storage of xpk's that all pods mount at /runs. xpk restarts by itself on
# exit code 42 and on those of signals (127 to 255), and on no other.
set -euo pipefail
: "${CLUSTER:?the cluster}" "${IMAGE:?the image}" "${NAME:?of this workload}"
exec xpk workload create \
  --cluster="$CLUSTER" \
  --workload="$NAME" \
  --tpu-type="${TYPE:-v5litepod-8}" \
  --num-slices="${SLICES:-1}" \
  --docker-image="$IMAGE" \
  --max-restarts="${RESTARTS:-50}" \
  --termination-grace-period-seconds=120 \
  --command="python -m kdjax train $(printf '%q ' "$@")"
