"""What makes a step smaller, by what it consists of."""

from collections.abc import Mapping
from typing import NamedTuple

from kdjax.preflight.memory import told


class Flags(NamedTuple):
    """What is set to change a part of a step; "" where nothing is to be set."""

    students: str  # makes their activations bfloat16
    teacher: str
    feed: str  # leaves the images where they are


PAIR = Flags(*["--dtype=bfloat16"] * 2, feed="--feed=streamed")
# Who the teacher is -> how it computes in bfloat16; of a run that is settled.
TEACHERS = {"untrained": "--dtype=bfloat16", "imported": "import --dtype=bfloat16"}


def of_config(teacher: str) -> Flags:
    """The flags of a config whose teacher is "untrained", "imported" or another."""
    students = "--config.model.dtype=bfloat16"
    feed = "--config.data.feed=streamed"
    return Flags(students, TEACHERS.get(teacher, ""), feed)


def of(
    row: dict, students: int, work: Mapping[str, Mapping[str, float]], flags: Flags
) -> list[str]:
    """Sentences for a row that does not fit, the most useful one first.

    Args:
      row: keys as in `kdjax.preflight.rows.KEYS`.
      students: that share the step.
      work: "students" and "teacher" -> dtype -> FLOPs.
      flags: of what is compiled.
    """
    found = []
    limit, devices = row["capacity"], row["devices"]
    if row["total"] and limit:
        found.append(f"it is {told(row['total'] - limit)} too large for a device")
    if row["largest_batch"]:
        found.append(f"--batch_size={row['largest_batch']} fits on these devices")
    if row["feed"] == "resident" and row["data"] > (limit or 0) / 4:
        found.append(
            f"the images take {told(row['data'])} on every device; with "
            f"{flags.feed} only the batches do"
        )
    asked = [getattr(flags, part) for part in work if _in_float32(work[part])]
    for flag in dict.fromkeys(filter(None, asked)):
        found.append(f"activations of {flag} are half as large")
    if students > 1:
        found.append(f"{students} students share the step; fewer fit easier")
    fixed = row["state"] + row["teacher"] + row["data"]
    if limit and fixed < limit and row["batch_size"] % (2 * devices) == 0:
        found.append(f"{2 * devices} devices halve what each holds of this batch")
    return found


def _in_float32(flops: Mapping[str, float]) -> bool:
    """Most of it: the classifier is in float32 whatever the activations are.

    >>> _in_float32({"float32": 1.0, "bfloat16": 9.0}), _in_float32({"float32": 1.0})
    (False, True)
    """
    return flops.get("float32", 0.0) > sum(flops.values()) / 2
