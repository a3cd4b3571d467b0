"""From images/s to shares of what the device could do: arithmetic and memory.

Model FLOPs are what the mathematics asks for: the teacher forward, and three times the
student's forward (forward, gradients of its inputs, gradients of its weights). What an
implementation computes beside that earns nothing.

Traffic is a model, not a measurement: each output of a convolution passes the device's
memory so many times, while batch norms are not folded and ReLUs not fused.

    evaluation  4.5: the convolution writes it, batch norm reads and writes, the next
                convolution reads; half a pass for residual sums
    training    14: the same forward, statistics read it once more, and the backward
                reads what was kept and reads and writes gradients
                (in bfloat16: 9 and 28 bytes an element)

Weights, optimizer and images are left out: a few percent at the batches of training.
A convolutional network is usually bound by memory: at 65 % of that roof an H100 trains
ResNet-50 with 17 % of its FLOP/s (MLPerf Training 3.0).
"""

from typing import NamedTuple

from kdjax.bench.flops import Work
from kdjax.bench.peaks import Peak

EVALUATION_PASSES = 4.5
TRAINING_PASSES = 14.0


class Load(NamedTuple):
    """What a step asks of the device, for each image."""

    flops: dict[str, float]  # dtype -> floating-point operations
    bytes: float  # through the device's main memory, by the model above

    @property
    def total(self) -> float:
        return sum(self.flops.values())


def load(teacher: Work | None, student: Work, students: int) -> Load:
    """The load of distilling into so many students of one kind.

    Args:
      teacher: of one forward for evaluation; None where no teacher computes.
      student: of one student's forward while training.
      students: how many train side by side.

    >>> one = Work({"float32": 10.0}, 2.0)
    >>> load(one, one, students=2)
    Load(flops={'float32': 70.0}, bytes=65.0)
    """
    work = student.times(3.0 * students)
    traffic = TRAINING_PASSES * students * student.convolved_bytes
    if teacher is not None:
        work += teacher
        traffic += EVALUATION_PASSES * teacher.convolved_bytes
    return Load(work.flops, traffic)


def shares(
    asked: Load, images_per_second: float, peak: Peak | None, devices: int
) -> tuple[float | None, float | None]:
    """(model FLOP/s utilisation, share of the memory roof), each from 0 to 1.

    Work in several dtypes is weighed with the peak of each. None: that peak is not
    known, or nothing is asked of it.

    Args:
      asked: of one image.
      images_per_second: over all devices.
      peak: of one device.
      devices: how many shared the work.
    """
    if peak is None:
        return None, None
    rate, arithmetic, memory = images_per_second / devices, None, None
    if asked.flops and asked.flops.keys() <= peak.flops.keys():
        seconds = sum(n / peak.flops[kind] for kind, n in asked.flops.items())
        arithmetic = rate * seconds
    if asked.bytes:
        memory = rate * asked.bytes / peak.bytes_per_second
    return arithmetic, memory
