"""Kernels, bytes and cycles of programs that compilers for an H200 and a v5e wrote.

stored/ has a convolution with its gradient on 64 of 1,000 resident images a device,
four steps in a dispatch, for two H200 (jaxlib 0.11.2) and one v5e (libtpu 0.0.42.1, 128
images); what no test reads was left out of the text.
"""

import pytest

from kdjax.preflight import estimates, traffic
from kdjax.preflight.collectives import Sent, tally
from kdjax.preflight.hlo import parse
from tests.preflight.test_hlo import STORED


@pytest.fixture(scope="module")
def h200():
    return parse((STORED / "h200_step.hlo").read_text())


@pytest.fixture(scope="module")
def v5e():
    return parse((STORED / "v5e_step.hlo").read_text())


def named(program, shape, kind):
    kernels = traffic.kernels(program, steps=4)
    (kernel,) = [k for k in kernels if k.kind == kind and k.shape.startswith(shape)]
    return kernel


def test_a_convolution_moves_its_operands_and_its_result(h200):
    images, kernel, result = 64 * 33 * 33 * 3, 3 * 3 * 3 * 64, 64 * 16 * 16 * 64
    forward = named(h200, "(bf16[64,16,16,64]", "__cudnn$convForward")
    assert forward.bytes == 2 * (images + kernel + result) and forward.times == 1.0
    assert forward.source.endswith("jvp()/conv_general_dilated")


def test_of_resident_images_a_step_reads_its_rows(h200):
    """Of 1,000 images of 3,072 bytes 64, and no more of the rows of indices."""
    padded = named(h200, "bf16[64,33,33,3]", "fusion loop_pad")
    rows, result = 64 * 3072, 2 * 64 * 33 * 33 * 3
    assert rows + result <= padded.bytes <= rows + result + 4 * 64 + 8


def test_a_metric_is_written_into_its_place(h200):
    """Four bytes of 16, with a place to write to and a sum to read."""
    kind = "fusion loop_dynamic_update_slice"
    assert named(h200, "f32[4]", kind).bytes == 4 + 4 + 4


def test_kinds_add_up_to_the_step(h200):
    row = traffic.summary(h200, steps=4)
    kinds = row["bytes_by_kind"]
    assert row["kernels"] == sum(one["count"] for one in kinds.values()) == 21
    assert row["bytes_per_step"] == sum(one["bytes"] for one in kinds.values())
    moved = [one["bytes"] for one in kinds.values()]
    assert moved == sorted(moved, reverse=True) and row["cycles"] is None
    largest = row["largest"]
    assert len(largest) == traffic.LARGEST and largest[0]["bytes"] == moved[0]
    # Asynchronous, of the kernel's gradient in bfloat16, and of all else in float32.
    sent = Sent(2, 2 * 3 * 3 * 3 * 64 + 4 * (64 * 10 + 1))
    assert tally(h200, steps=4) == {"all-reduce": sent}
    assert row["collectives"] == {"all-reduce": sent._asdict()}


def test_a_dispatch_is_four_steps_and_what_is_around_them(h200):
    whole = traffic.summary(h200, steps=1)
    step = traffic.summary(h200, steps=4)
    assert whole["kernels"] > 4 * step["kernels"]
    assert whole["bytes_per_step"] > 4 * step["bytes_per_step"]


def test_what_stays_on_the_chip_passes_no_memory(v5e):
    """All of so small a step, in the chip's vector memory, but for a few numbers."""
    row = traffic.summary(v5e, steps=4)
    assert row["kernels"] > 10 and row["bytes_per_step"] < 1000


def test_cycles_of_a_step_are_those_of_its_kernels(v5e):
    cycles = [1828, 1817, 300, 6197, 23258, 30242, 260, 2138, 5804, 260]
    assert traffic.cycles(v5e, steps=4) == sum(cycles)
    seconds = estimates.seconds_of_cycles("TPU v5 lite", sum(cycles))
    assert seconds == pytest.approx(sum(cycles) / 1.5e9)
    assert estimates.seconds_of_cycles("TPU v9", sum(cycles)) is None


def test_a_refused_program_has_no_kernels():
    row = traffic.summary(None, steps=16)
    assert row["kernels"] is None and row["collectives"] == {}
