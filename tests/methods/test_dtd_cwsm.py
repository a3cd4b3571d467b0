import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, dtd_cwsm
from kdjax.supervision import signals
from tests import reference
from tests.objectives import objective
from tests.reference import GOLDEN_KL, GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

# base 4, spread 2, and without the 0.001 of the weight
GOLDEN_TEMPERATURES = [3.885753, 3.776073, 4.338173]
ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)
W = reference.unsureness(GOLDEN_STUDENT)


def value_and_gradient(method, selection=None):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def test_golden_temperatures_up_to_the_thousandth_in_the_weight():
    rule = METHODS["dtd_cwsm"].build(base=4.0, spread=2.0).supervisor.temperature
    given = signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    temperature, _ = rule.update((), given)
    np.testing.assert_allclose(temperature, GOLDEN_TEMPERATURES, atol=2e-3)


@pytest.mark.parametrize("base, spread", [(4.0, 2.0), (10.0, 0.1), (4, 40)])
@pytest.mark.parametrize("eta", [None, 0.8])
def test_objective_and_gradient_match_the_equation(base, spread, eta):
    method = dtd_cwsm.build(base=base, spread=spread, label_weight=0.3, eta=eta)
    value, (gradient, to_teacher) = value_and_gradient(method)
    tau = reference.dynamic_temperature(W, base, spread, lowest=1.0)
    assert spread < 40 or tau.min() == 1.0  # the floor takes part in the last
    aim = reference.softmax(GOLDEN_TEACHER, tau)
    aim = reference.revised(aim, GOLDEN_LABELS, eta)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = reference.dynamic_loss(GOLDEN_STUDENT, aim, tau) + 0.3 * hard
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    slope = tau[:, None] * (reference.softmax(GOLDEN_STUDENT, tau) - aim)
    slope += 0.3 * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)
    assert (np.asarray(to_teacher) == 0).all()


@pytest.mark.parametrize("classes", [10, 100])
def test_the_default_spread_clips_nothing_up_to_a_hundred_classes(classes):
    # The worst batch: one sample of which the student knows nothing, all others sure.
    student = np.zeros((128, classes), np.float32)
    student[1:, 0] = 100.0
    rule = dtd_cwsm.build().supervisor.temperature
    given = signals(student, student, np.zeros(128, np.int32))
    temperature, _ = rule.update((), given)
    assert (temperature > rule.lowest).all()
    np.testing.assert_allclose(jnp.mean(temperature), 10.0, rtol=1e-6)


def test_without_spread_it_is_kd():
    value, _ = value_and_gradient(dtd_cwsm.build(base=4.0, spread=0.0))
    np.testing.assert_allclose(value, np.mean(GOLDEN_KL[4.0]), rtol=1e-5)


def test_selection_weighs_the_teacher_and_not_the_labels():
    selection = np.float32([1.0, 0.0, 0.5])
    method = dtd_cwsm.build(base=4.0, spread=0.0, label_weight=0.5)
    value, _ = value_and_gradient(method, selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = 0.5 * hard + selection * GOLDEN_KL[4.0]
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


def test_parts_that_are_not_asked_for_are_left_out():
    method = dtd_cwsm.build(num_examples=7)
    assert [t.name for t in method.terms] == ["soft_logits"]
    assert method.supervisor.temperature.init() == ()
    method = dtd_cwsm.build(label_weight=0.1, memory_decay=0.9, num_examples=7, eta=0.8)
    assert [t.name for t in method.terms] == ["hard_label", "soft_target"]
    assert method.supervisor.temperature.init()["table"].shape == (7,)


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"base": float("inf")}, "by_confidence: base is inf"),
        ({"spread": float("nan")}, "by_confidence: spread is nan"),
        ({"lowest": 0.0}, "by_confidence: lowest is 0"),
        ({"label_weight": -1.0}, "dtd_cwsm: label_weight is -1"),
        ({"memory_decay": 0.5}, "remembered: num_examples is None"),
        ({"eta": 1.0}, "label_revision: eta is 1"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dtd_cwsm.build(**arguments)
