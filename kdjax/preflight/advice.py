"""What makes a step smaller, by what it consists of."""

from collections.abc import Mapping
from typing import NamedTuple

from kdjax.preflight.memory import size_text


class Flags(NamedTuple):
    """The options that change a part of a step; "" where there is none."""

    students: str  # makes their activations bfloat16
    teacher: str
    feed: str  # leaves the images where they are
    accumulation: str = ""  # divides a batch into microbatches


PAIR = Flags(*["--dtype=bfloat16"] * 2, feed="--feed=streamed")
# Where the teacher is from -> how it computes in bfloat16; of a run that is settled.
TEACHERS = {"untrained": "--dtype=bfloat16", "imported": "import --dtype=bfloat16"}


def flags_of(teacher_from: str) -> Flags:
    """The options for a config; see `plans.Plan` for `teacher_from`."""
    students, feed = "--config.model.dtype=bfloat16", "--config.data.feed=streamed"
    accumulation = "--config.accumulation_steps"
    return Flags(students, TEACHERS.get(teacher_from, ""), feed, accumulation)


def advice_for(
    row: dict,
    students: int,
    work: Mapping[str, Mapping[str, float]],
    flags: Flags,
    microbatches: int = 1,
) -> list[str]:
    """Sentences for a row that does not fit, the most useful one first.

    `work` is "students" and "teacher" -> dtype -> FLOPs; a step has `microbatches`.
    """
    sentences = []
    limit, devices = row["capacity"], row["devices"]
    if row["total"] and limit:
        excess = size_text(row["total"] - limit)
        sentences.append(f"it is {excess} too large for a device")
    if row["largest_batch"]:
        sentences.append(f"--batch_size={row['largest_batch']} fits on these devices")
    if row["feed"] == "resident" and row["data"] > (limit or 0) / 4:
        sentences.append(
            f"the images take {size_text(row['data'])} on every device; with "
            f"{flags.feed} only the batches do"
        )
    smaller = [getattr(flags, part) for part in work if _in_float32(work[part])]
    for flag in dict.fromkeys(filter(None, smaller)):
        sentences.append(f"activations of {flag} are half as large")
    more = 2 * microbatches
    if flags.accumulation and row["batch_size"] % (more * devices) == 0:
        sentences.append(
            f"{flags.accumulation}={more} halves the activations of the same batch; "
            "batch norms see a microbatch"
        )
    if students > 1:
        sentences.append(f"{students} students share the step; fewer fit easier")
    fixed = row["state"] + row["teacher"] + row["data"]
    if limit and fixed < limit and row["batch_size"] % (2 * devices) == 0:
        sentences.append(f"{2 * devices} devices halve what each holds of this batch")
    return sentences


def _in_float32(flops: Mapping[str, float]) -> bool:
    """Most of it: the classifier is in float32 whatever the activations are.

    >>> _in_float32({"float32": 1.0, "bfloat16": 9.0}), _in_float32({"float32": 1.0})
    (False, True)
    """
    return flops.get("float32", 0.0) > sum(flops.values()) / 2
