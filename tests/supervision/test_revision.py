import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax.supervision import signals
from kdjax.supervision.adjustment import shift_probabilities
from kdjax.supervision.pipeline import Supervisor, TemperatureRule, fixed, supervise
from kdjax.supervision.revision import (
    label_revision,
    revision_weight,
    where_wrong,
    with_revision,
)
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

GOLDEN_PROBABILITIES = [
    [0.809234, 0.066426, 0.109518, 0.014822],
    [0.062359, 0.759691, 0.008439, 0.169510],
    [0.106677, 0.023803, 0.478092, 0.391429],
]
GOLDEN_BETA = [0.470667, 0.8, 0.736199]  # eta = 0.8
GOLDEN_BOUND = [0.588333, 1.0, 0.920248]
GOLDEN_REVISED = [
    [0.380880, 0.031265, 0.580880, 0.006976],
    [0.049887, 0.807753, 0.006752, 0.135608],
    [0.078535, 0.017524, 0.351971, 0.551971],
]
PRINTED = 1e-6  # of six decimals, and float32's share
# From a hard maximum to nearly uniform, and uniform: 2^-10 to 2^20, infinity.
TEMPERATURES = hnp.arrays(
    np.float32,
    4,
    elements=st.floats(-10, 20).map(lambda x: float(np.float32(2.0**x)))
    | st.just(float("inf")),
)
quick = settings(max_examples=60, deadline=None, derandomize=True)
LABELS = hnp.arrays(np.int32, 4, elements=st.integers(0, 5))
ROWS = hnp.arrays(np.float32, (4, 6), elements=st.floats(-40, 40, width=32))
# Logits a few units of the last place apart.
NEAR_TIES = st.builds(
    lambda base, ulps: np.float32(base) + np.spacing(np.float32(base)) * ulps,
    st.floats(-40, 40, width=32),
    hnp.arrays(np.float32, (4, 6), elements=st.integers(-2, 2)),
)


def revised(teacher, labels, eta, temperature=1.0, wrap=lambda rule: rule, **options):
    rules = Supervisor(
        temperature=fixed(temperature), target=(wrap(label_revision(eta, **options)),)
    )

    @jax.jit
    def target(teacher, labels):
        given = signals(jnp.zeros_like(teacher), teacher, labels)
        return supervise(rules, (), given)[0].target

    return np.asarray(target(teacher, labels))


def compiled(eta, temperature, **options):
    """The same for many inputs of one shape."""
    rules = Supervisor(
        temperature=fixed(temperature), target=(label_revision(eta, **options),)
    )
    run = jax.jit(lambda given: supervise(rules, (), given)[0].target)
    return lambda teacher, labels: np.asarray(run(signals(teacher, teacher, labels)))


def at_each_temperature(eta, **stages):
    """(teacher, labels, [batch] temperatures) -> target."""
    given = TemperatureRule(init=tuple, update=lambda state, signals: (state, state))
    rules = with_revision(Supervisor(temperature=given, **stages), eta)
    run = jax.jit(lambda state, given: supervise(rules, state, given)[0].target)
    return lambda teacher, labels, temperature: np.asarray(
        run(temperature, signals(teacher, teacher, labels))
    )


def assert_label_on_top(target, labels):
    at_label = np.take_along_axis(target, labels[:, None], -1)[:, 0]
    assert (at_label >= target.max(-1)).all()


def test_golden_weights_bounds_and_targets():
    p = np.float32(GOLDEN_PROBABILITIES)
    beta = revision_weight(p, GOLDEN_LABELS, 0.8)
    np.testing.assert_allclose(beta, GOLDEN_BETA, atol=PRINTED)
    almost = revision_weight(p, GOLDEN_LABELS, 1 - 1e-9)
    np.testing.assert_allclose(almost, GOLDEN_BOUND, atol=PRINTED)
    target = revised(GOLDEN_TEACHER, GOLDEN_LABELS, 0.8)
    np.testing.assert_allclose(target, GOLDEN_REVISED, atol=PRINTED)


@pytest.mark.parametrize("softened", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize("eta", [0.1, 0.8, 0.999])
def test_target_matches_the_equation(eta, temperature, softened):
    q = reference.softmax(GOLDEN_TEACHER, temperature)
    p = q if softened else reference.softmax(GOLDEN_TEACHER)
    expected = reference.label_revision(p, q, GOLDEN_LABELS, eta)
    target = revised(GOLDEN_TEACHER, GOLDEN_LABELS, eta, temperature, softened=softened)
    np.testing.assert_allclose(target, expected, rtol=1e-5)


@pytest.mark.parametrize("softened", [False, True])
@pytest.mark.parametrize("eta", [1e-3, 0.8, 0.999, 1 - 1e-7, 1 - 1e-15])
def test_the_label_is_never_below_another_class(eta, softened):
    target = compiled(eta, 1.0, softened=softened)

    @quick
    @given(ROWS | NEAR_TIES, LABELS)
    def check(teacher, labels):
        assert_label_on_top(target(teacher, labels), labels)

    check()


@pytest.mark.parametrize("temperature, softened", [(4, False), (4, True), (0.3, True)])
def test_the_label_is_on_top_at_other_temperatures(temperature, softened):
    target = compiled(0.999, temperature, softened=softened)

    @quick
    @given(ROWS | NEAR_TIES, LABELS)
    def check(teacher, labels):
        assert_label_on_top(target(teacher, labels), labels)

    check()


@pytest.mark.parametrize("eta", [0.1, 0.8, 0.999, 1 - 1e-15])
def test_the_label_leads_by_one_minus_eta_at_every_samples_own_temperature(eta):
    target = at_each_temperature(eta)
    plain = at_each_temperature(None)

    @quick
    @given(ROWS | NEAR_TIES, LABELS, TEMPERATURES)
    def check(teacher, labels, temperature):
        given = teacher, labels, temperature
        p, q = target(*given), plain(*given)
        assert_label_on_top(p, labels)
        label = np.eye(6, dtype=bool)[labels]
        lead = p[label] - np.where(label, -1, p).max(-1)
        assert (lead >= 1 - eta - 2e-7).all()
        wrong = q[label] < q.max(-1)
        np.testing.assert_allclose(lead[wrong], 1 - eta, atol=2e-7)

    check()


def test_each_sample_is_revised_at_its_own_temperature():
    temperature = np.float32([0.5, 4.0, 20.0])
    soft = reference.softmax(GOLDEN_TEACHER, temperature)
    given = GOLDEN_TEACHER, GOLDEN_LABELS, temperature
    expected = reference.revised(soft, GOLDEN_LABELS, 0.8)
    np.testing.assert_allclose(at_each_temperature(0.8)(*given), expected, rtol=1e-5)


def test_revision_follows_the_other_target_rules():
    temperature = np.float32([0.5, 4.0, 20.0])
    soft = reference.softmax(GOLDEN_TEACHER, temperature)
    shifted = reference.shifted(soft, GOLDEN_TEACHER, GOLDEN_LABELS)
    run = at_each_temperature(0.8, target=(shift_probabilities,))
    target = run(GOLDEN_TEACHER, GOLDEN_LABELS, temperature)
    expected = 0.8 * shifted + 0.2 * reference.one_hot(GOLDEN_LABELS, 4)
    np.testing.assert_allclose(target, expected, rtol=1e-5)


def test_without_eta_a_supervisor_stays_as_it_is():
    rules = Supervisor(temperature=fixed(4), target=(shift_probabilities,))
    assert with_revision(rules, None) is rules


@pytest.mark.parametrize("softened", [False, True])
@pytest.mark.parametrize("spread", [1e-7, 1e-3, 1.0, 30.0])
def test_the_label_is_on_top_of_a_thousand_classes(spread, softened):
    rng = np.random.default_rng(0)
    teacher = np.float32(spread * rng.normal(size=(64, 1000)))
    labels = rng.integers(0, 1000, 64).astype(np.int32)
    target = revised(teacher, labels, 1 - 1e-9, softened=softened)
    assert_label_on_top(target, labels)
    np.testing.assert_allclose(target.sum(-1), 1.0, rtol=1e-5)


def test_below_temperature_one_the_softened_beta_is_needed():
    teacher, labels = np.float32([[1.0, 0.0]]), np.array([1], np.int32)
    assert revised(teacher, labels, 0.999, 0.3).argmax() == 0
    assert revised(teacher, labels, 0.999, 0.3, softened=True).argmax() == 1


@quick
@given(ROWS, LABELS)
def test_rows_sum_to_one_and_other_odds_stay(teacher, labels):
    target = revised_at_four(teacher, labels)
    np.testing.assert_allclose(target.sum(-1), 1.0, rtol=1e-6)
    plain = reference.softmax(teacher, 4.0)
    for row, before, y in zip(target, plain, labels, strict=True):
        others = np.arange(6) != y
        expected = before[others] / before[others].sum()
        np.testing.assert_allclose(row[others] / row[others].sum(), expected, 1e-4)


revised_at_four = compiled(0.8, 4.0)


@quick
@given(ROWS | NEAR_TIES, LABELS, st.floats(0.001, 0.999))
def test_weights_lie_between_half_of_eta_and_eta(teacher, labels, eta):
    p = jax.nn.softmax(teacher)
    beta = np.asarray(revision_weight(p, labels, eta))
    assert (beta >= np.float32(eta) / 2).all() and (beta <= np.float32(eta)).all()
    on_top = np.asarray(p)[np.arange(4), labels] == np.asarray(p).max(-1)
    assert (beta[on_top] == np.float32(eta)).all()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_where_wrong_leaves_what_a_right_teacher_says(temperature):
    everywhere = revised(GOLDEN_TEACHER, GOLDEN_LABELS, 0.8, temperature)
    only = revised(GOLDEN_TEACHER, GOLDEN_LABELS, 0.8, temperature, wrap=where_wrong)
    np.testing.assert_allclose(only[[0, 2]], everywhere[[0, 2]], rtol=1e-6)
    plain = reference.softmax(GOLDEN_TEACHER, temperature)
    np.testing.assert_allclose(only[1], plain[1], rtol=1e-6)
    assert abs(everywhere[1] - plain[1]).max() > 0.01


def test_huge_and_masked_logits_give_finite_targets():
    teacher = 1e5 * GOLDEN_TEACHER
    teacher[1, 0] = -np.inf
    target = revised(teacher, GOLDEN_LABELS, 0.8)
    # A one-hot teacher: 0.4 stays with the wrong class, 0.6 goes to the label.
    expected = [[0.4, 0, 0.6, 0], [0, 1, 0, 0], [0, 0, 0.4, 0.6]]
    np.testing.assert_allclose(target, expected, rtol=1e-6)


def test_weights_are_float32_whatever_comes_in():
    p = jnp.asarray(GOLDEN_PROBABILITIES, jnp.bfloat16)
    beta = revision_weight(p, GOLDEN_LABELS.astype(np.uint8), 0.8)
    assert beta.dtype == jnp.float32
    wide = revision_weight(p.astype(jnp.float32), GOLDEN_LABELS, 0.8)
    np.testing.assert_array_equal(beta, wide)


@pytest.mark.parametrize("bad", [-1, 4])
def test_a_traced_label_out_of_range_is_nan_in_its_row_alone(bad):
    labels = np.array([2, bad, 3], np.int32)
    target = revised(GOLDEN_TEACHER, labels, 0.8)
    assert np.isnan(target).any(-1).tolist() == [False, True, False]


def test_no_gradient_passes_through_a_revision():
    rules = Supervisor(temperature=fixed(1), target=(label_revision(0.8),))

    def total(student, teacher):
        given = signals(student, teacher, GOLDEN_LABELS)
        return jnp.sum(supervise(rules, (), given)[0].target ** 2)

    inputs = jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER)
    for gradient in jax.grad(total, argnums=(0, 1))(*inputs):
        assert (np.asarray(gradient) == 0).all()


@pytest.mark.errors
@pytest.mark.parametrize("eta", [0, 1, -0.1, 1.5, float("nan"), "0.8", True])
def test_an_eta_not_between_zero_and_one_is_refused(eta):
    with pytest.raises(ValueError, match="label_revision: eta is"):
        label_revision(eta)
    with pytest.raises(ValueError, match="label_revision: eta is"):
        with_revision(Supervisor(temperature=fixed(4)), eta)
    with pytest.raises(ValueError, match="revision_weight: eta is"):
        revision_weight(np.float32(GOLDEN_PROBABILITIES), GOLDEN_LABELS, eta)


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    p = np.float32(GOLDEN_PROBABILITIES)
    with pytest.raises(ValueError, match="revision_weight: labels has batch=2"):
        revision_weight(p, GOLDEN_LABELS[:2], 0.8)
    with pytest.raises(ValueError, match=r"labels\[0\] is 4; expected 0 to 3"):
        revision_weight(p, np.array([4, 1, 0]), 0.8)


def test_labels_of_eight_bits_name_one_class_among_three_hundred():
    probabilities = np.full((1, 300), 1 / 300, np.float32)
    probabilities[0, 276] = 0.5
    small = np.array([20], np.uint8)
    beta = revision_weight(probabilities, small, 0.8)
    np.testing.assert_allclose(beta, [0.8 / (0.5 - 1 / 300 + 1)], rtol=1e-5)
