import math

import numpy as np
import pytest

from kdjax.methods import wkd_f
from tests.methods.on_features import (
    SIDES,
    close,
    convolve,
    cross_entropy,
    declares,
    drawn,
    maps,
    normalise,
    pair,
    relu,
)

RUN = {"steps_per_epoch": 10.0, "total_steps": 100}


def distance(s, t, mean_weight):
    """Channel by channel of each sample; the mean over the samples."""
    total = 0.0
    for i in range(len(s)):
        for c in range(s.shape[-1]):
            a, b = s[i, :, :, c], t[i, :, :, c]
            total += mean_weight * (a.mean() - b.mean()) ** 2
            one, other = (np.sqrt(x.var(ddof=1) + 1e-5) for x in (a, b))
            total += (one - other) ** 2
    return total / len(s)


def projected(x, weights, projector):
    if projector == "conv1x1":
        own = weights["regressor"]
        return relu(normalise(convolve(x, own["conv"]), own["norm"]))
    x = convolve(convolve(x, weights["conv1"]), weights["conv2"], pad=1)
    return relu(normalise(convolve(x, weights["conv3"]), weights["norm"]))


@pytest.mark.parametrize("projector", ["conv1x1", "bottleneck"])
def test_objective_is_the_equation(projector):
    student, teacher = pair()
    method = wkd_f.build(**RUN, weight=0.5, mean_weight=3.0, projector=projector)
    variables = drawn(method, student, teacher)
    weights = variables["projector_stage3"][0]
    s = projected(maps(student, "stage3"), weights, projector)
    expected = 0.5 * distance(s, maps(teacher, "stage3"), 3.0)
    expected += cross_entropy(student.logits)
    rtol = 1e-5 if projector == "conv1x1" else 5e-5  # 256 channels within
    close(method, student, teacher, expected, variables, rtol=rtol)


def test_the_weight_falls_by_half_a_cosine_to_the_last_epoch():
    weight = wkd_f.build(**RUN, weight=2.0, decay_epoch=4.0).terms[1].coefficient
    for step in range(100):
        epoch = step // 10 + 1
        expected = 2.0
        if epoch > 4:
            expected *= 0.5 * (1 + math.cos((epoch - 4) / (10 - 4) * math.pi))
        np.testing.assert_allclose(weight(step), expected, rtol=1e-5, atol=1e-6)
    assert float(weight(99)) == 0.0
    assert wkd_f.build(**RUN, weight=2.0).terms[1].coefficient == 2.0
    odd = wkd_f.build(steps_per_epoch=1.5625, total_steps=4, decay_epoch=1.0)
    assert [float(odd.terms[1].coefficient(step)) for step in (1, 2, 3)] == [1, 0, 0]


def test_several_levels_have_a_projector_each():
    levels = {"student_features": ("stage2", "stage3")}
    levels["teacher_features"] = levels["student_features"]
    method = wkd_f.build(**RUN, **levels)
    assert list(method.connectors) == ["projector_stage2", "projector_stage3"]
    declares(method, *levels.values())


def test_it_says_what_it_reads():
    declares(wkd_f.build(**RUN), ["stage3"], ["stage3"])


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"weight": 0.0}, "wkd_f: weight is"),
        ({"mean_weight": -1.0}, "wkd_f: mean_weight is"),
        ({"projector": "linear"}, "wkd_f: projector is 'linear'"),
        ({"decay_epoch": -1.0}, "wkd_f: decay_epoch is"),
        ({"student_features": ()}, "wkd_f: student_features is"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        wkd_f.build(**RUN | arguments)


@pytest.mark.errors
def test_a_bottleneck_needs_equal_sides():
    method = wkd_f.build(**RUN, projector="bottleneck")
    with pytest.raises(ValueError, match="needs equal sides"):
        drawn(method, *pair(SIDES | {"stage3": 4}))
