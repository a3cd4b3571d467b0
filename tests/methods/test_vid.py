import jax
import numpy as np
import pytest

from kdjax.methods import vid
from kdjax.types import ConnectorInputs
from tests.methods.on_features import (
    SIDES,
    close,
    convolve,
    cross_entropy,
    declares,
    drawn,
    halve,
    maps,
    pair,
    relu,
)

LEVELS = ("stage1", "stage2", "stage3")


def information(s, t, weights):
    if len(s[0]) > len(t[0]):
        s = halve(s)
    if len(t[0]) > len(s[0]):
        t = halve(t)
    mean = convolve(relu(convolve(s, weights["conv1"])), weights["conv2"])
    mean = convolve(relu(mean), weights["conv3"])
    variance = np.log(1 + np.exp(np.float64(weights["rho"]))) + 1e-5
    return (0.5 * ((mean - t) ** 2 / variance + np.log(variance))).mean()


@pytest.mark.parametrize("sides", [None, SIDES | {"stage1": 2}, SIDES | {"stage3": 4}])
def test_objective_is_the_equation(sides):
    student, teacher = pair(sides)
    method = vid.build(weight=3.0)
    variables = drawn(method, student, teacher)
    expected = cross_entropy(student.logits)
    for name in LEVELS:
        weights = variables["heads"][0][name]
        level = maps(student, name), maps(teacher, name), weights
        expected += 3.0 * information(*level)
    close(method, student, teacher, expected, variables)


def test_every_variance_starts_with_the_argument():
    student, teacher = pair()
    connector = vid.build(variance=2.0).connectors["heads"]
    params, _ = connector.init(jax.random.key(0), ConnectorInputs(student, teacher))
    for name in LEVELS:
        rho = np.float64(params[name]["rho"])
        np.testing.assert_allclose(np.log(1 + np.exp(rho)) + 1e-5, 2.0, rtol=1e-6)


def test_it_says_what_it_reads():
    declares(vid.build(), LEVELS, LEVELS)


@pytest.mark.errors
def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="vid: weight is"):
        vid.build(weight=0.0)
    with pytest.raises(ValueError, match="vid: variance is 0"):
        vid.build(variance=0.0)
    with pytest.raises(ValueError, match="vid: student_features is"):
        vid.build(student_features=())
