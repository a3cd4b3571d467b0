import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax import losses
from kdjax.supervision import signals
from kdjax.supervision.adjustment import probability_shift
from kdjax.supervision.pipeline import Supervisor, supervise
from kdjax.supervision.temperature import (
    by_confidence,
    by_confusion,
    by_confusion_of_probabilities,
)
from kdjax.training.sharding import make_mesh, split
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

# base 4, spread 2
GOLDEN_FLSW = {
    1.0: [3.619426, 4.445487, 3.935087],
    0.5: [3.550566, 4.629143, 3.820291],
    2.0: [3.806189, 4.168584, 4.025227],
}
GOLDEN_CWSM = [3.885753, 3.776073, 4.338173]
PRINTED = 1e-6  # of six decimals, and float32's share
EIGHTHS = st.integers(-400, 400).map(lambda n: n / 8)
PAIR = hnp.arrays(np.float32, (2, 6, 5), elements=EIGHTHS)
quick = settings(max_examples=40, deadline=None, derandomize=True)

BUILDERS = {
    "flsw": by_confusion,
    "flsw_prob": by_confusion_of_probabilities,
    "cwsm": by_confidence,
}


def of(student, teacher, **changes):
    labels = np.zeros(len(student), np.int32)
    return signals(student, teacher, labels)._replace(**changes)


def golden(**changes):
    return of(GOLDEN_STUDENT, GOLDEN_TEACHER, **changes)


def run(rule, given, **stages):
    rules = Supervisor(temperature=rule, **stages)
    return supervise(rules, rule.init(), given)[0]


def weights(name, student, teacher, gamma=1.0):
    """In float64, as the equations say."""
    p, q = reference.softmax(student), reference.softmax(teacher)
    return {
        "flsw": lambda: reference.confusion(student, teacher, gamma),
        "flsw_prob": lambda: (1 - (p * q).sum(-1)) ** gamma,
        "cwsm": lambda: 1 / (p.max(-1) + 1e-3),
    }[name]()


@pytest.mark.parametrize("gamma", GOLDEN_FLSW)
def test_confusion_golden(gamma):
    s = run(by_confusion(4.0, 2.0, gamma=gamma), golden())
    np.testing.assert_allclose(s.temperature, GOLDEN_FLSW[gamma], atol=PRINTED)
    assert s.temperature.dtype == np.float32


def test_confusion_golden_losses():
    s = run(by_confusion(4, 2), golden())
    values = s.temperature**2 * losses.kl_divergence(
        GOLDEN_STUDENT, s.logits, s.temperature
    )
    np.testing.assert_allclose(values, [0.996658, 0.255901, 0.448244], atol=PRINTED)
    np.testing.assert_allclose(jnp.mean(values), 0.566934, atol=PRINTED)


def test_confidence_golden():
    s = run(by_confidence(4.0, 2.0, epsilon=0.0), golden())
    np.testing.assert_allclose(s.temperature, GOLDEN_CWSM, atol=PRINTED)
    expected = reference.dynamic_temperature(
        weights("cwsm", GOLDEN_STUDENT, GOLDEN_TEACHER), 4, 2
    )
    plain = run(by_confidence(4.0, 2.0), golden())
    np.testing.assert_allclose(plain.temperature, expected, rtol=1e-6)
    assert np.abs(expected - GOLDEN_CWSM).max() > 1e-4  # or the default is not tested


@pytest.mark.parametrize("gamma", [0.25, 0.5, 1, 2])
def test_confusion_of_probabilities_matches_the_equation(gamma):
    rule = by_confusion_of_probabilities(10.0, 8.0, gamma=gamma)
    w = weights("flsw_prob", GOLDEN_STUDENT, GOLDEN_TEACHER, gamma)
    expected = reference.dynamic_temperature(w, 10, 8)
    np.testing.assert_allclose(run(rule, golden()).temperature, expected, rtol=1e-6)


def test_an_epsilon_lengthens_both_vectors():
    w = reference.confusion(GOLDEN_STUDENT, GOLDEN_TEACHER, epsilon=0.5)
    expected = reference.dynamic_temperature(w, 4, 2)
    s = run(by_confusion(4.0, 2.0, epsilon=0.5), golden())
    np.testing.assert_allclose(s.temperature, expected, rtol=1e-6)
    assert np.abs(expected - GOLDEN_FLSW[1.0]).max() > 0.01


@functools.cache
def jitted(name, base, spread, lowest=1.0):
    rule = BUILDERS[name](base, spread, lowest=lowest)
    return jax.jit(lambda student, teacher: run(rule, of(student, teacher)).temperature)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("base, spread", [(5.0, 0.0), (5.0, 0.75), (20.0, 3.5)])
@given(pair=PAIR)
@quick
def test_unclipped_temperatures_have_the_base_as_mean(name, base, spread, pair):
    # Five classes: w <= 5, so nothing goes below base - 5 spread.
    temperature = np.asarray(jitted(name, base, spread)(*pair))
    assert (temperature > 1.0).all()
    np.testing.assert_allclose(temperature.mean(dtype=np.float64), base, rtol=1e-6)
    expected = reference.dynamic_temperature(weights(name, *pair), base, spread)
    np.testing.assert_allclose(temperature, expected, rtol=1e-5)
    if not spread:
        np.testing.assert_array_equal(temperature, np.full(6, np.float32(base)))


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("spread, lowest", [(10.0, 0.1), (40.0, 1.0), (1e3, 3.7)])
@given(pair=PAIR)
@quick
def test_after_clipping_none_is_below_the_floor(name, spread, lowest, pair):
    temperature = np.asarray(jitted(name, 4.0, spread, lowest)(*pair))
    assert (temperature >= np.float32(lowest)).all()
    # The step logs the share of temperatures <= lowest: the clipped ones, and no other.
    raw = reference.dynamic_temperature(weights(name, *pair), 4.0, spread)
    clear = np.abs(raw - lowest) > 1e-5 * (4 + spread)
    floored = np.asarray(jnp.asarray(temperature) <= lowest)
    np.testing.assert_array_equal(floored[clear], (raw < lowest)[clear])


def test_the_floor_acts_on_the_very_samples_that_the_equation_would_send_below_it():
    rule = by_confusion(4.0, 40.0, lowest=1.5)
    w = reference.confusion(GOLDEN_STUDENT, GOLDEN_TEACHER)
    raw = reference.dynamic_temperature(w, 4, 40)
    assert raw.min() < 0 < raw.max()
    expected = reference.dynamic_temperature(w, 4, 40, lowest=1.5)
    temperature = run(rule, golden()).temperature
    np.testing.assert_allclose(temperature, expected, rtol=1e-5)
    assert (temperature <= rule.lowest).tolist() == (expected == 1.5).tolist()
    assert 0 < np.mean(expected == 1.5) < 1


@pytest.mark.parametrize("name", BUILDERS)
@given(pair=PAIR)
@quick
def test_the_more_confusing_a_sample_the_lower_its_temperature(name, pair):
    temperature = np.asarray(jitted(name, 20.0, 3.5)(*pair))
    w = weights(name, *pair)
    more = w[:, None] > w[None] + 1e-4
    assert (temperature[:, None] < temperature[None])[more].all()


def test_the_mean_is_over_the_whole_batch_on_any_number_of_devices():
    rng = np.random.default_rng(0)
    student, teacher = np.float32(rng.normal(size=(2, 32, 5)))
    w = reference.confusion(student, teacher)
    expected = reference.dynamic_temperature(w, 10, 8)
    divided = jax.device_put((student, teacher), split(make_mesh()))
    temperature = jitted("flsw", 10.0, 8.0)(*divided)
    np.testing.assert_allclose(temperature, expected, rtol=1e-5)


@pytest.mark.parametrize("gamma, spread", [(0.25, 40.0), (1.0, 1e5)])
def test_nearly_parallel_logits_keep_their_digits(gamma, spread):
    # 1 - cosine of these is 1e-9 to 1e-5: in float32 it cancels to 0 or to noise.
    teacher = np.float32(np.random.default_rng(1).normal(size=(5, 10)))
    noise = np.random.default_rng(2).normal(size=(5, 10))
    student = np.float32(teacher + np.logspace(-4.5, -2.5, 5)[:, None] * noise)
    w = reference.confusion(student, teacher, gamma)
    expected = reference.dynamic_temperature(w, 10, spread)
    s = run(by_confusion(10.0, spread, gamma=gamma), of(student, teacher))
    np.testing.assert_allclose(s.temperature - 10, expected - 10, rtol=2e-3, atol=2e-6)


def test_confident_and_equal_probabilities_keep_their_digits():
    logits = np.float32([[12, 0, 0], [15, 0, 0], [18, 0, 0]])
    # 1 - <p, p> = 1 - p_1^2 - 2 p_2^2; each is about 2 * 2 exp(-logit).
    q = np.exp(-np.float64([12, 15, 18]))
    w = ((4 * q + 2 * q**2) / (1 + 2 * q) ** 2) ** 0.25
    expected = reference.dynamic_temperature(w, 10, 40)
    rule = by_confusion_of_probabilities(10.0, 40.0, gamma=0.25)
    s = run(rule, of(logits, logits))
    np.testing.assert_allclose(s.temperature - 10, expected - 10, rtol=1e-4)


EXTREME = {
    "huge": (1e5 * GOLDEN_STUDENT, -1e5 * GOLDEN_TEACHER),
    "beyond_their_squares": (1e30 * GOLDEN_STUDENT, 1e30 * GOLDEN_TEACHER),
    "tiny": (1e-30 * GOLDEN_STUDENT, 1e-30 * GOLDEN_TEACHER),
    "identical": (GOLDEN_TEACHER, GOLDEN_TEACHER),
    "zero_student": (0 * GOLDEN_STUDENT, GOLDEN_TEACHER),
    "zero_both": (0 * GOLDEN_STUDENT, 0 * GOLDEN_TEACHER),
    "one_class_masked": (
        np.concatenate([GOLDEN_STUDENT, np.full((3, 1), -np.inf, np.float32)], -1),
        np.concatenate([GOLDEN_TEACHER, np.full((3, 1), -np.inf, np.float32)], -1),
    ),
}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("case", EXTREME)
def test_extreme_logits_give_finite_temperatures(name, case):
    student, teacher = (np.float32(z) for z in EXTREME[case])
    s = run(BUILDERS[name](10.0, 40.0), of(student, teacher))
    assert np.isfinite(s.temperature).all()
    if name == "flsw" and case in ("tiny", "beyond_their_squares", "one_class_masked"):
        plain = run(by_confusion(10.0, 40.0), golden())  # direction is all that counts
        np.testing.assert_allclose(s.temperature, plain.temperature, rtol=1e-4)
    if name == "flsw" and case.startswith(("identical", "zero")):
        np.testing.assert_allclose(s.temperature, [10, 10, 10], rtol=1e-6)


def test_a_zero_vector_is_as_confusing_as_a_right_angle():
    student = np.float32([[0, 0, 0], [1, 0, 0], [0, 0, 2]])
    teacher = np.float32([[1, 2, 0], [0, 3, 0], [0, 0, 1]])
    temperature = run(by_confusion(10.0, 3.0), of(student, teacher)).temperature
    np.testing.assert_allclose(temperature, [9, 9, 12], rtol=1e-6)


@pytest.mark.parametrize("name", BUILDERS)
def test_nan_logits_are_not_covered_by_the_floor(name):
    student = GOLDEN_STUDENT.copy()
    student[1, 2] = np.nan
    step = jax.jit(lambda s: run(BUILDERS[name](4.0, 2.0), s).temperature)
    assert np.isnan(step(golden(student_logits=student))).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_bfloat16_logits_give_float32_of_the_same_numbers(name):
    low = [jnp.asarray(z, jnp.bfloat16) for z in (GOLDEN_STUDENT, GOLDEN_TEACHER)]
    rule = BUILDERS[name](4.0, 2.0)
    s, wide = run(rule, of(*low)), run(rule, of(*(z.astype("float32") for z in low)))
    assert s.temperature.dtype == jnp.float32
    np.testing.assert_array_equal(s.temperature, wide.temperature)
    alone, _ = rule.update((), of(*low))
    assert alone.dtype == jnp.float32


@pytest.mark.parametrize("name", BUILDERS)
def test_no_gradient_passes_through_the_temperature(name):
    def total(student, teacher):
        return jnp.sum(run(BUILDERS[name](4.0, 2.0), of(student, teacher)).temperature)

    inputs = jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER)
    for gradient in jax.grad(total, argnums=(0, 1))(*inputs):
        assert (np.asarray(gradient) == 0).all()


def test_confusion_sees_the_adjusted_logits_and_confidence_no_teacher():
    given = golden(labels=GOLDEN_LABELS)
    shifted = reference.shifted(GOLDEN_TEACHER, GOLDEN_TEACHER, GOLDEN_LABELS)
    w = reference.confusion(GOLDEN_STUDENT, shifted)
    expected = reference.dynamic_temperature(w, 4, 2)
    s = run(by_confusion(4.0, 2.0), given, logits=(probability_shift,))
    np.testing.assert_allclose(s.temperature, expected, rtol=1e-6)
    rule = by_confidence(4.0, 2.0)
    s = run(rule, given, logits=(probability_shift,))
    np.testing.assert_array_equal(s.temperature, run(rule, given).temperature)


OUT_OF_RANGE = {
    "base": [0.0, np.inf, 0.5],  # the last is below the floor of 1
    "spread": [-1.0, np.nan, np.inf],
    "lowest": [0.0, np.nan],
    "gamma": [0.0, -1.0],
    "epsilon": [-1e-3, np.nan],
}


@pytest.mark.errors
@pytest.mark.parametrize("name", BUILDERS)
def test_numbers_out_of_range_are_named(name):
    build = BUILDERS[name]
    for argument in inspect.signature(build).parameters:
        for value in OUT_OF_RANGE[argument]:
            with pytest.raises(ValueError, match=f"{build.__name__}: {argument} is"):
                build(**{"base": 4.0, "spread": 2.0, argument: value})
