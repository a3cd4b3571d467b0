import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax import losses
from kdjax.supervision import signals
from kdjax.supervision.adjustment import (
    probability_shift,
    shift_probabilities,
    smoothed_label,
)
from kdjax.supervision.pipeline import Supervisor, fixed, stateless, supervise
from kdjax.supervision.temperature import by_confusion
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

GOLDEN_SHIFTED = [
    [0.241677, 0.213279, 0.398459, 0.146585],
    [0.210137, 0.392587, 0.127454, 0.269821],
    [0.220930, 0.151843, 0.305775, 0.321452],
]
GOLDEN_SMOOTHED = [
    [0.025, 0.025, 0.925, 0.025],
    [0.210137, 0.392587, 0.127454, 0.269821],
    [0.025, 0.025, 0.025, 0.925],
]
PRINTED = 1e-6  # of six decimals, and float32's share
NUMBERS = st.floats(-1e5, 1e5, width=32, allow_subnormal=False)
ROWS = hnp.arrays(np.float32, (4, 5), elements=NUMBERS)
LABELS = hnp.arrays(np.int32, (4,), elements=st.integers(0, 4))
quick = settings(max_examples=40, deadline=None, derandomize=True)


shift = jax.jit(probability_shift)
smooth = {epsilon: jax.jit(smoothed_label(epsilon)) for epsilon in (0.0, 0.1, 1.0)}


def of(teacher, labels):
    return signals(np.zeros_like(teacher), teacher, labels)


def run(given, **stages):
    rules = Supervisor(**{"temperature": fixed(4), **stages})
    return supervise(rules, rules.temperature.init(), given)[0]


def golden(**changes):
    return signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)._replace(**changes)


def test_shift_golden():
    first = run(golden(), logits=(probability_shift,))
    expected = reference.shifted(GOLDEN_TEACHER, GOLDEN_TEACHER, GOLDEN_LABELS)
    np.testing.assert_array_equal(first.logits, expected)
    np.testing.assert_allclose(first.target, GOLDEN_SHIFTED, atol=PRINTED)
    values = 16 * losses.kl_divergence(GOLDEN_STUDENT, first.logits, 4.0)
    np.testing.assert_allclose(values, [0.367589, 0.250179, 0.348448], rtol=1e-5)
    np.testing.assert_allclose(jnp.mean(values), 0.322072, rtol=1e-5)


def test_smoothed_label_golden():
    s = run(golden(), target=(smoothed_label(0.1),))
    np.testing.assert_allclose(s.target, GOLDEN_SMOOTHED, atol=PRINTED)
    np.testing.assert_array_equal(s.logits, GOLDEN_TEACHER)
    values = 16 * losses.kl_to_target(GOLDEN_STUDENT, s.target, 4.0)
    np.testing.assert_allclose(values, [12.344821, 0.250179, 11.497055], rtol=1e-5)


@given(ROWS, LABELS)
@quick
def test_shift_swaps_two_entries_and_puts_the_label_on_top(teacher, labels):
    rows = np.arange(4)
    shifted = np.asarray(shift(of(teacher, labels)))
    np.testing.assert_array_equal(np.sort(shifted), np.sort(teacher))
    np.testing.assert_array_equal(shifted[rows, labels], teacher.max(-1))
    assert ((shifted != teacher).sum(-1) <= 2).all()
    right = teacher.argmax(-1) == labels
    np.testing.assert_array_equal(shifted[right], teacher[right])
    again = shift(of(shifted, labels))
    np.testing.assert_array_equal(again, shifted)
    expected = reference.shifted(teacher, teacher, labels)
    np.testing.assert_array_equal(shifted, np.float32(expected))


@jax.jit
def both_shifts(given, temperature):
    rule = stateless(lambda s: jnp.full(s.labels.shape, temperature))
    first = run(given, temperature=rule, logits=(probability_shift,))
    return first, run(given, temperature=rule, target=(shift_probabilities,))


@given(ROWS, LABELS, st.sampled_from([1e-3, 0.5, 4.0, 1e6, np.inf]))
@quick
def test_the_shift_commutes_with_the_temperature(teacher, labels, temperature):
    first, last = both_shifts(of(teacher, labels), np.float32(temperature))
    np.testing.assert_allclose(last.target, first.target, rtol=1e-5, atol=1e-30)
    np.testing.assert_array_equal(last.logits, teacher)


def test_the_last_shift_knows_the_teachers_class_where_the_target_is_flat():
    # 1e-3 apart at temperature 1e6: the targets are equal in float32.
    teacher = np.float32([[0.001, 0.0, -0.001]])
    given = of(teacher, np.array([2]))
    s = run(given, temperature=fixed(1e6), target=(smoothed_label(0.3),))
    np.testing.assert_allclose(s.target, [[0.1, 0.1, 0.8]], rtol=1e-6)
    named = np.float32([[0.5, 0.3, 0.2]])  # as if revised in between
    np.testing.assert_array_equal(
        shift_probabilities(named, given), np.float32([[0.2, 0.3, 0.5]])
    )


def test_a_temperature_before_the_last_shift_sees_the_teachers_own_logits():
    rule = by_confusion(4.0, 2.0)
    plain = run(golden(), temperature=rule)
    last = run(golden(), temperature=rule, target=(shift_probabilities,))
    np.testing.assert_array_equal(last.temperature, plain.temperature)
    expected = reference.softmax(GOLDEN_TEACHER, last.temperature)
    expected = reference.shifted(expected, GOLDEN_TEACHER, GOLDEN_LABELS)
    np.testing.assert_allclose(last.target, expected, rtol=1e-5)


@given(ROWS, LABELS, st.sampled_from(sorted(smooth)))
@quick
def test_smoothed_rows_sum_to_one_and_right_teachers_are_left(teacher, labels, epsilon):
    target = np.float32(reference.softmax(teacher, 4.0))
    revised = np.asarray(smooth[epsilon](target, of(teacher, labels)))
    np.testing.assert_allclose(revised.sum(-1), 1.0, rtol=1e-6)
    assert (revised >= 0).all()
    right = teacher.argmax(-1) == labels
    np.testing.assert_array_equal(revised[right], target[right])
    expected = reference.smoothed_where_wrong(target, teacher, labels, epsilon)
    np.testing.assert_allclose(revised, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("label, expected", [(0, [0.4, 0.4, 0.2]), (1, [0, 1, 0])])
def test_among_equal_logits_the_lowest_index_is_the_teachers_class(label, expected):
    given = of(np.float32([[2.0, 2.0, -1.0]]), np.array([label]))
    np.testing.assert_array_equal(probability_shift(given), given.teacher_logits)
    target = jnp.asarray([[0.4, 0.4, 0.2]], jnp.float32)
    np.testing.assert_allclose(smoothed_label(0.0)(target, given)[0], expected)


def test_a_masked_label_gets_the_top_and_nothing_becomes_nan():
    given = of(np.float32([[3.0, 1.0, -np.inf]]), np.array([2]))
    shifted = probability_shift(given)
    np.testing.assert_array_equal(shifted, np.float32([[-np.inf, 1.0, 3.0]]))
    s = run(given, logits=(probability_shift,))
    np.testing.assert_allclose(s.target, reference.softmax(shifted, 4.0), rtol=1e-6)


STAGES = {
    "probability_shift": {"logits": (probability_shift,)},
    "shift_probabilities": {"target": (shift_probabilities,)},
    "smoothed_label": {"target": (smoothed_label(0.1),)},
}


@pytest.mark.parametrize("rule", STAGES)
def test_jitted_equals_eager_and_labels_of_any_integer_type_are_fine(rule):
    eager = run(golden(), **STAGES[rule])
    for dtype in (np.uint8, np.int64, np.int32):
        given = golden(labels=GOLDEN_LABELS.astype(dtype))
        jitted = jax.jit(lambda s: run(s, **STAGES[rule]))(given)
        np.testing.assert_allclose(jitted.target, eager.target, rtol=1e-6)


def test_a_byte_names_one_of_300_classes_and_not_two():
    teacher = np.float32(np.random.default_rng(0).normal(size=(2, 300)))
    labels = np.array([20, 200], np.uint8)  # 20 + 256 is a class as well
    expected = np.float32(reference.shifted(teacher, teacher, labels))
    np.testing.assert_array_equal(probability_shift(of(teacher, labels)), expected)


@pytest.mark.parametrize("rule", STAGES)
@pytest.mark.parametrize("label", [-1, 4])
def test_a_traced_label_out_of_range_is_nan_in_its_row_only(rule, label):
    labels = np.array([label, 1, 3])
    s = jax.jit(lambda s: run(s, **STAGES[rule]))(golden(labels=labels))
    assert np.isnan(s.target[0]).any()
    assert np.isfinite(s.target[1:]).all()


@pytest.mark.parametrize("label", [-1, 4])
def test_a_traced_label_out_of_range_reaches_the_loss_through_the_logits(label):
    @jax.jit
    def loss(given):
        s = run(given, **STAGES["probability_shift"])
        return losses.kl_divergence(given.student_logits, s.logits, s.temperature)

    values = loss(golden(labels=np.array([label, 1, 3])))
    assert np.isnan(values).tolist() == [True, False, False]


@pytest.mark.parametrize("rule", STAGES)
def test_a_broken_teacher_is_not_covered_up(rule):
    teacher = GOLDEN_TEACHER.copy()
    teacher[0, 1] = np.nan
    target = run(golden(teacher_logits=teacher), **STAGES[rule]).target
    assert np.isnan(target[0]).any()
    assert np.isfinite(target[1:]).all()


@pytest.mark.parametrize("rule", STAGES)
def test_bfloat16_logits_give_float32_of_the_same_numbers(rule):
    low = jnp.asarray(GOLDEN_TEACHER, jnp.bfloat16)
    s = run(golden(teacher_logits=low), **STAGES[rule])
    wide = run(golden(teacher_logits=low.astype(jnp.float32)), **STAGES[rule])
    assert s.target.dtype == s.logits.dtype == jnp.float32
    np.testing.assert_array_equal(s.target, wide.target)


def test_alone_the_rules_give_float32_too():
    low = golden(teacher_logits=jnp.asarray(GOLDEN_TEACHER, jnp.bfloat16))
    target = jnp.asarray(reference.softmax(GOLDEN_TEACHER, 4.0), jnp.bfloat16)
    assert probability_shift(low).dtype == jnp.float32
    assert shift_probabilities(target, low).dtype == jnp.float32
    assert smoothed_label(0.1)(target, low).dtype == jnp.float32


@pytest.mark.parametrize("rule", STAGES)
def test_no_gradient_reaches_the_teacher_and_the_students_is_the_equations(rule):
    def loss(student, teacher):
        s = run(golden(student_logits=student, teacher_logits=teacher), **STAGES[rule])
        return losses.kl_to_target(student, s.target, s.temperature).sum()

    both = jax.grad(loss, argnums=(0, 1))
    inputs = jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER)
    to_student, to_teacher = both(*inputs)
    assert (np.asarray(to_teacher) == 0).all()
    printed = GOLDEN_SMOOTHED if rule == "smoothed_label" else GOLDEN_SHIFTED
    slope = (reference.softmax(GOLDEN_STUDENT, 4.0) - np.array(printed)) / 4
    np.testing.assert_allclose(to_student, slope, atol=PRINTED)


@pytest.mark.errors
@pytest.mark.parametrize("epsilon", [-0.1, 1.1, np.nan])
def test_an_epsilon_outside_zero_to_one_is_refused(epsilon):
    with pytest.raises(ValueError, match="smoothed_label: epsilon is"):
        smoothed_label(epsilon)


@pytest.mark.errors
@pytest.mark.parametrize("rule", STAGES)
def test_a_label_out_of_range_is_named(rule):
    with pytest.raises(ValueError, match=rf"{rule}: labels\[1\] is 4; expected 0 to 3"):
        run(golden(labels=np.array([0, 4, 1])), **STAGES[rule])
