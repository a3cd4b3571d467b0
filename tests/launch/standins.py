"""What stands in for the commands of clusters and clouds."""

import pathlib

ROOT = pathlib.Path(__file__).parent.parent.parent
LAUNCH = ROOT / "launch"
TRAIN = ["--config=configs/cifar100/kd.py", "--workdir=/runs/a b"]
LOST = [42, 134, 137, 143, 255]  # saved, or a host is gone: the same command goes on
FILES = ("codes", "state", "bad")
# Writes its words down and exits with the next code of $CODES. What sets a VM up fails
# as many times as $BAD has lines.
STAND_IN = """#!/usr/bin/env bash
printf '%s\\0' "$(basename "$0")" "$@" >> "$LOG"
printf '\\1' >> "$LOG"
case "$(basename "$0") $*" in
  *describe*) cat "$STATE" 2>/dev/null; exit 0 ;;
  *create*--accelerator-type*) echo READY > "$STATE"; exit 0 ;;
  *delete*) rm "$STATE"; exit 0 ;;
  *'-m kdjax'*) ;;
  *mountpoint*)
    [ -s "$BAD" ] && sed -i 1d "$BAD" && exit 1
    exit 0 ;;
  *) exit 0 ;;
esac
code=$(head -n 1 "$CODES")
sed -i 1d "$CODES"
[ "$code" = 255 ] && [ -n "${TAKEN:-}" ] && echo PREEMPTED > "$STATE"
exit "$code"
"""
