"""From images/s to shares of what the device could do: arithmetic and memory.

Model FLOPs are what the mathematics asks for: the teacher forward, and three times the
student's forward (forward, gradients of its inputs, gradients of its weights). What an
implementation computes beside that does not count.

Traffic is a model, not a measurement: each output of a convolution passes the device's
memory so many times, while batch norms are not folded and ReLUs not fused.

    evaluation  4.5: the convolution writes it, batch norm reads and writes, the next
                convolution reads; half a pass for residual sums
    training    14: the same forward, statistics read it once more, and the backward
                reads what was kept and reads and writes gradients
                (in bfloat16: 9 and 28 bytes an element)

Weights, optimizer and images are left out: a few percent at the batches of training.
"""

from kdjax.bench.flops import Work
from kdjax.bench.peaks import Peak

EVALUATION_PASSES = 4.5
TRAINING_PASSES = 14.0


def load(teacher: Work | None, student: Work, students: int) -> Work:
    """Of distilling into so many students of one kind, given the work of a forward.

    >>> one = Work({"float32": 10.0}, 2.0)
    >>> load(one, one, students=2)
    Work(flops={'float32': 70.0}, bytes=65.0)
    """
    work = student.times(3.0 * students)
    traffic = TRAINING_PASSES * students * student.bytes
    if teacher is not None:
        work += teacher
        traffic += EVALUATION_PASSES * teacher.bytes
    return Work(work.flops, traffic)


def shares(
    load: Work, images_per_second: float, peak: Peak | None, devices: int
) -> tuple[float | None, float | None]:
    """(model FLOP/s utilisation, share of the memory roof), each from 0 to 1.

    `load` is of one image, `peak` of one of the `devices` that shared the work. Work in
    several dtypes is weighed with the peak of each. None: that peak is not known, or
    nothing is computed.
    """
    if peak is None:
        return None, None
    rate, arithmetic, memory = images_per_second / devices, None, None
    if load.flops and load.flops.keys() <= peak.flops.keys():
        seconds = sum(n / peak.flops[kind] for kind, n in load.flops.items())
        arithmetic = rate * seconds
    if load.bytes:
        memory = rate * load.bytes / peak.bytes_per_second
    return arithmetic, memory
