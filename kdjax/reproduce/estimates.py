"""What a study will take, before it starts: networks, images and ESTIMATES of hours.

On CPUs from a measured pace, by multiplications: training and a teacher's forward
each have their own. Accelerators have no measured rate yet: what their data sheets'
arithmetic and memory allow is printed instead, and named so. The traffic is that of
`kdjax.bench.roofline`, where nothing is fused: what XLA fuses may pass below it.
"""

import os
from collections.abc import Iterable
from typing import NamedTuple

from kdjax.reproduce.plans import FLOAT32, Run
from kdjax.reproduce.published import PAIRS

CIFAR100 = 50_000  # training images, and those of an .npz file of it
IMAGES = {"fashion_mnist_subset": 10_000}  # of other sets
# Network -> FLOP of an image's forward and bytes of its outputs of convolutions, as
# `kdjax.bench.flops` counts them: 100 classes and 32 pixels, or 1,000 and 224.
WORK = {
    "resnet8": (2.50148e7, 344064),
    "resnet20": (8.16379e7, 802816),
    "resnet56": (2.51507e8, 2179070),
    "wrn_16_2": (2.02237e8, 1212420),
    "wrn_28_4": (1.69124e9, 4194300),
    "wrn_40_2": (6.55222e8, 3047420),
    "resnet34_cifar": (2.3189e9, 4096000),
    "resnet32": (1.38261e8, 1261570),
    "resnet110": (5.06311e8, 4243460),
    "resnet32x4": (2.16608e9, 5177340),
    "resnet8x4": (3.54142e8, 1507330),
    "wrn_40_1": (1.66573e8, 1490940),
    "vgg13": (5.69872e8, 1048580),
    "vgg8": (1.92385e8, 524288),
    "mobilenet_v2_half": (1.30473e7, 846592),
    "resnet50_cifar": (2.59603e9, 13729800),
    "shufflenet_v1": (7.73829e7, 622080),
    "shufflenet_v2": (8.90089e7, 2252290),
    "resnet18": (3.62815e9, 9934850),
    "resnet34": (7.32752e9, 14952400),
    "resnet50": (8.17837e9, 44455900),
    "resnet152": (2.30273e10, 90216400),
    "mobilenet_v1": (1.13748e9, 20170800),
}
# Images/s of WRN-28-4 -> WRN-16-2, one student, on two cores of an AMD EPYC, where the
# teacher's logits are cached and where they are computed.
CACHED, LIVE = 184.0, 90.0
SOURCE = "benchmarks/RESULTS.md"
CORES, PROCESSOR = 2, "AMD EPYC"
ACCELERATORS = {"one H200": ("NVIDIA H200", 1), "a v5e-8": ("TPU v5 lite", 8)}


class Part(NamedTuple):
    """Trainings of one kind: so many images go through a teacher and its students."""

    teacher: str  # "" for none
    student: str
    students: int  # in one program
    images: float  # over all epochs and runs


def parts_of(runs: Iterable[Run]) -> list[Part]:
    """Of trainings; selections count as nothing."""
    parts = []
    for run in runs:
        config = run.config
        if config["select"]:
            continue
        teacher = run.pair.teacher if config["teacher"]["workdir"] else ""
        images = config["total_steps"] * config["batch_size"]
        in_set = IMAGES.get(config["data"]["name"], CIFAR100)
        images = images or config["total_epochs"] * in_set
        students = max(1, len(config["students"]))
        parts.append(Part(teacher, config["model"]["name"], students, images))
    return parts


def benchmark() -> list[str]:
    """RepDistiller's 13 pairs by one method, each teacher and student trained once."""
    images = 240.0 * CIFAR100
    teachers = dict.fromkeys(teacher for teacher, _ in PAIRS)
    parts = [Part("", teacher, 1, images) for teacher in teachers]
    parts += [Part(*pair, 1, images) for pair in PAIRS]
    what = f"{len(PAIRS)} pairs by one method, {len(parts)} networks"
    return lines(parts, f"configs/cifar100/repdistiller.py: {what}")


def lines(parts: list[Part], what: str, dtype: str = FLOAT32) -> list[str]:
    """Four lines: `what` with its images, and hours here, on an H200 and on a v5e-8."""
    images = sum(part.images for part in parts)
    first = f"{what}; {images:,.0f} images, each through a teacher and its students"
    unknown = sorted({n for part in parts for n in part[:2] if n} - WORK.keys())
    if unknown:
        why = f"hours: not measured, and no work is known of {', '.join(unknown)}"
        return [first, why]
    return [first, _on_cpu(parts, dtype), *_on_accelerators(parts, dtype)]


def cpu_hours(parts: list[Part]) -> float:
    """On CORES cores of that processor, in float32.

    >>> one = [Part("wrn_28_4", "wrn_16_2", 1, 3600 * LIVE)]
    >>> round(cpu_hours(one), 6), round(cpu_hours([one[0]._replace(teacher="")]), 3)
    (1.0, 0.489)
    """
    of_training = 1 / CACHED / WORK["wrn_16_2"][0]  # seconds of a student's FLOP
    of_teacher = (1 / LIVE - 1 / CACHED) / WORK["wrn_28_4"][0]
    seconds = 0.0
    for part in parts:
        each = part.students * WORK[part.student][0] * of_training
        if part.teacher:
            each += WORK[part.teacher][0] * of_teacher
        seconds += part.images * each
    return seconds / 3600


def roof_hours(parts: list[Part], kind: str, devices: int, dtype: str) -> float:
    """What arithmetic or modelled traffic of so many devices take, the longer one."""
    from kdjax.bench import peaks, roofline
    from kdjax.bench.flops import Work

    width = 1.0 if dtype == FLOAT32 else 0.5  # of the bytes that are counted
    peak, seconds = peaks.find(kind), 0.0
    work = {name: Work({dtype: f}, width * b) for name, (f, b) in WORK.items()}
    for part in parts:
        student, teacher = work[part.student], work.get(part.teacher)
        load = roofline.load(teacher, student, part.students)
        of_flops = load.total / peak.flops[dtype]
        of_bytes = load.bytes / peak.bytes_per_second
        seconds += part.images * max(of_flops, of_bytes) / devices
    return seconds / 3600


def _on_cpu(parts: list[Part], dtype: str) -> str:
    from kdjax.distributed.devices import processor

    cores, name = os.cpu_count() or 1, processor()
    here = f"this machine, {cores} cores of {name}"
    pace = f"ESTIMATE by multiplications, from {LIVE:g} and {CACHED:g} images/s of "
    pace += f"WRN-28-4 -> WRN-16-2 on {CORES} cores of an {PROCESSOR} ({SOURCE})"
    if dtype != FLOAT32:
        return f"{here}: not measured in {dtype}"
    hours = cpu_hours(parts)
    if not name.startswith(PROCESSOR):
        return f"{here}: not measured; {time(hours)} there: {pace}"
    share = "" if cores == CORES else ", in proportion to the cores"
    return f"{here}: {time(hours * CORES / cores)}, {pace}{share}"


def _on_accelerators(parts: list[Part], dtype: str) -> list[str]:
    return [
        f"{name}: no rate is measured; {time(roof_hours(parts, *kind, dtype))} at its "
        f"roof, ESTIMATE in {dtype} by its data sheet and a model of memory traffic; "
        "trainings take longer"
        for name, kind in ACCELERATORS.items()
    ]


def time(hours: float) -> str:
    """Hours as a text of two digits or more.

    >>> time(0.02), time(0.5), time(3.14), time(1234.5)
    ('1.2 minutes', '30 minutes', '3.1 hours', '1,234 hours')
    """
    if hours < 1:
        minutes = 60 * hours
        return f"{minutes:.1f} minutes" if minutes < 10 else f"{minutes:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 10 else f"{hours:,.0f} hours"
