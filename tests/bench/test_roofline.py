"""Shares of the roof against runs whose speed was published."""

import jax
import jax.numpy as jnp
import pytest

from kdjax.bench.flops import Work, count
from kdjax.bench.peaks import Peak, find
from kdjax.bench.roofline import load, shares
from kdjax.models import create


@pytest.fixture(scope="module")
def work():
    def counted(name):
        network = create(name, num_classes=1000, dtype="bfloat16")
        images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
        variables = jax.eval_shape(network.init, jax.random.key(0), images)
        return count(network.train, *variables, images)

    return {name: counted(name) for name in ("resnet18", "resnet34", "resnet50")}


# Images/s of one device, and the shares that its peaks make of it by hand: 24.5 GFLOP
# and 11.11e6 outputs at 28 bytes an image.
@pytest.mark.parametrize(
    ("kind", "rate", "arithmetic", "memory"),
    [
        # MLPerf Training 3.0, DGX H100, MXNet: 56,050 images/s on 8
        ("NVIDIA H100 80GB HBM3", 7006, 0.17, 0.65),
        # NVIDIA DeepLearningExamples, A100, MXNet AMP: 26,674 images/s on 8
        ("NVIDIA A100-SXM4-80GB", 3334, 0.26, 0.51),
        # MLPerf Training 1.0, TPU v4-128
        ("TPU v4", 3453, 0.31, 0.88),
    ],
)
def test_published_speeds_of_resnet_50(work, kind, rate, arithmetic, memory):
    step = load(None, work["resnet50"], 1)
    both = shares(step, rate, find(kind), devices=1)
    assert both == pytest.approx((arithmetic, memory), abs=0.02)
    assert shares(step, 8 * rate, find(kind), devices=8) == pytest.approx(both)


def test_distillation_pays_the_teacher_once(work):
    one = load(work["resnet34"], work["resnet18"], 1)
    assert one.total / 1e9 == pytest.approx(7.33 + 3 * 3.63, abs=0.02)
    assert one.bytes / 1e6 == pytest.approx(3.74 * 9 + 2.48 * 28, abs=0.3)
    many = load(work["resnet34"], work["resnet18"], 8)
    assert many.total / 1e9 == pytest.approx(7.33 + 8 * 3 * 3.63, abs=0.1)
    cached = load(None, work["resnet18"], 8)
    assert many.total - cached.total == pytest.approx(work["resnet34"].total)


def test_every_dtype_is_weighed_with_its_own_peak():
    peak = Peak({"bfloat16": 100.0, "float32": 10.0}, 50.0)
    step = Work({"bfloat16": 20.0, "float32": 3.0}, 5.0)
    assert shares(step, 1.0, peak, 1) == pytest.approx((0.2 + 0.3, 0.1))
    assert shares(step, 1.0, peak, 2) == pytest.approx((0.25, 0.05))


def test_what_is_not_known_has_no_share():
    peak = Peak({"float32": 10.0}, 50.0)
    assert shares(Work({"float32": 1.0}, 1.0), 1.0, None, 1) == (None, None)
    assert shares(Work({}, 0.0), 1.0, peak, 1) == (None, None)
    assert shares(Work({"bfloat16": 1.0}, 5.0), 1.0, peak, 1) == (None, 0.1)
    assert shares(Work({"float32": 1.0}, 0.0), 1.0, peak, 1) == (0.1, None)


def test_work_adds_up():
    a, b = Work({"float32": 1.0}, 2.0), Work({"float32": 3.0, "bfloat16": 4.0}, 5.0)
    assert a + b == Work({"float32": 4.0, "bfloat16": 4.0}, 7.0)
    assert b.total == 7.0
