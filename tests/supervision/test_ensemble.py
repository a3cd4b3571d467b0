import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kdjax.supervision import ensemble, signals
from kdjax.supervision.pipeline import Supervisor, fixed, supervise
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

# Two teachers that disagree: the golden one and one that is sure of the label.
SECOND = np.float32(
    [[-1.0, 0.0, 4.0, 0.5], [0.3, 1.0, -0.5, 0.0], [1.0, 1.5, -2.0, 3.0]]
)
MEMBERS = np.stack([GOLDEN_TEACHER, SECOND], axis=1)
MEAN = MEMBERS.mean(1)
quick = settings(max_examples=60, deadline=None, derandomize=True)
STACKS = hnp.arrays(np.float32, (3, 2, 4), elements=st.floats(-30, 30, width=32))


def run(members=MEMBERS, temperature=4.0, teacher=MEAN, **stages):
    rules = Supervisor(temperature=fixed(temperature), **stages)
    given = signals(GOLDEN_STUDENT, teacher, GOLDEN_LABELS, members=members)
    return supervise(rules, (), given)[0]


def test_mean_of_logits_is_the_supervision():
    s = run(teacher=0 * MEAN, logits=(ensemble.mean_of_logits,))
    np.testing.assert_allclose(s.logits, MEAN, rtol=1e-6)
    np.testing.assert_allclose(s.target, reference.softmax(MEAN, 4.0), rtol=1e-5)


def test_sum_of_logits_softens_as_the_mean_at_a_part_of_the_temperature():
    s = run(logits=(ensemble.sum_of_logits,))
    np.testing.assert_allclose(s.logits, MEMBERS[:, 0] + MEMBERS[:, 1], rtol=1e-6)
    np.testing.assert_allclose(s.target, reference.softmax(MEAN, 2.0), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_mean_of_probabilities_matches_the_equation(temperature):
    rule = ensemble.mean_of_probabilities(temperature)
    s = run(temperature=temperature, target=(rule,))
    each = [reference.softmax(MEMBERS[:, i], temperature) for i in range(2)]
    np.testing.assert_allclose(s.target, np.mean(each, 0), rtol=1e-5)
    np.testing.assert_array_equal(s.logits, MEAN)
    # Not the mean of the logits under another name.
    assert abs(s.target - reference.softmax(MEAN, temperature)).max() > 1e-4


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_teachers_that_agree_are_one_teacher(temperature):
    members = np.stack([GOLDEN_TEACHER] * 3, axis=1)
    expected = reference.softmax(GOLDEN_TEACHER, temperature)
    rule = ensemble.mean_of_probabilities(temperature)
    for stages in ({"logits": (ensemble.mean_of_logits,)}, {"target": (rule,)}):
        s = run(members, temperature, 0 * GOLDEN_TEACHER, **stages)
        np.testing.assert_allclose(s.target, expected, rtol=1e-5)


@quick
@given(STACKS)
def test_the_order_of_teachers_plays_no_part(members):
    for stages in (
        {"logits": (ensemble.mean_of_logits,)},
        {"logits": (ensemble.sum_of_logits,)},
        {"target": (ensemble.mean_of_probabilities(4),)},
    ):
        one, other = (run(m, **stages) for m in (members, members[:, ::-1]))
        np.testing.assert_array_equal(one.target, other.target)
        np.testing.assert_allclose(one.target.sum(-1), 1.0, rtol=1e-6)


@quick
@given(STACKS)
def test_a_mean_of_probabilities_lies_between_the_teachers(members):
    target = np.asarray(
        run(members, target=(ensemble.mean_of_probabilities(4),)).target
    )
    each = np.stack([reference.softmax(members[:, i], 4.0) for i in range(2)])
    assert (target >= each.min(0) * (1 - 1e-5)).all()
    assert (target <= each.max(0) * (1 + 1e-5)).all()


@pytest.mark.parametrize("temperature", [1e-30, 1.0, 1e30, float("inf")])
def test_huge_and_masked_logits_give_finite_probabilities(temperature):
    members = 1e5 * MEMBERS
    members[0, :, 3] = -np.inf
    rule = ensemble.mean_of_probabilities(temperature)
    target = np.asarray(run(members, temperature, target=(rule,)).target)
    assert np.isfinite(target).all()
    np.testing.assert_allclose(target.sum(-1), 1.0, rtol=1e-6)
    if temperature > 1:
        np.testing.assert_allclose(target[1:], 0.25, rtol=1e-5)
    else:  # each teacher's own class: they differ in the first and the last sample
        expected = [[0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.5]]
        np.testing.assert_array_equal(target, expected)


def test_no_gradient_passes_to_the_teachers():
    def total(members):
        s = run(
            members,
            logits=(ensemble.mean_of_logits,),
            target=(ensemble.mean_of_probabilities(4),),
        )
        return jnp.sum(s.target**2) + jnp.sum(s.logits**2)

    gradient = jax.grad(total)(jnp.asarray(MEMBERS))
    assert (np.asarray(gradient) == 0).all()


def test_members_of_low_precision_are_joined_in_float32():
    low = jnp.asarray(MEMBERS, jnp.bfloat16)
    for stages in (
        {"logits": (ensemble.mean_of_logits,)},
        {"target": (ensemble.mean_of_probabilities(4),)},
    ):
        s, wide = run(low, **stages), run(low.astype(jnp.float32), **stages)
        assert s.target.dtype == s.logits.dtype == jnp.float32
        np.testing.assert_array_equal(s.target, wide.target)


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, stages",
    [
        ("mean_of_logits", {"logits": (ensemble.mean_of_logits,)}),
        ("sum_of_logits", {"logits": (ensemble.sum_of_logits,)}),
        ("mean_of_probabilities", {"target": (ensemble.mean_of_probabilities(4),)}),
    ],
)
def test_a_single_teacher_is_refused(name, stages):
    message = f"{name}: signals.members is None: the teacher is a single network"
    with pytest.raises(ValueError, match=message):
        run(None, **stages)
    with pytest.raises(ValueError, match="supervise: members has classes=3"):
        run(MEMBERS[..., :3], **stages)


@pytest.mark.errors
@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_not_above_zero_is_refused(temperature):
    with pytest.raises(ValueError, match="mean_of_probabilities: temperature is"):
        ensemble.mean_of_probabilities(temperature)


@pytest.mark.errors
def test_one_temperature_is_expected():
    with pytest.raises(ValueError, match=r"temperature has shape \(2,\)"):
        ensemble.mean_of_probabilities(np.float32([1, 2]))
