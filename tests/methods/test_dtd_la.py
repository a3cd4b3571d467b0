import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, dtd_flsw, dtd_la, ka_lsr, ka_ps
from tests import reference
from tests.objectives import inputs, objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)
SHIFTED = reference.shifted(GOLDEN_TEACHER, GOLDEN_TEACHER, GOLDEN_LABELS)
ADJUSTMENTS = ["shift_first", "shift_last", "lsr"]
WEIGHTS = {
    "cosine": {},
    "probabilities": {"similarity": "probabilities"},
    "cwsm": {"confusion": "cwsm"},
}


def value_and_gradient(method, labels=GOLDEN_LABELS):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, labels), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def supervision(method):
    return inputs(method, GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS).supervision


def equation(adjustment, weight, base, spread):
    """(tau, target) of the worked example, in float64."""
    compared = SHIFTED if adjustment == "shift_first" else GOLDEN_TEACHER
    w = {
        "cosine": reference.confusion(GOLDEN_STUDENT, compared),
        "probabilities": reference.confusion_of_probabilities(GOLDEN_STUDENT, compared),
        "cwsm": reference.unsureness(GOLDEN_STUDENT),
    }[weight]
    tau = reference.dynamic_temperature(w, base, spread, lowest=1.0)
    if adjustment != "lsr":
        return tau, reference.softmax(SHIFTED, tau)
    soft = reference.softmax(GOLDEN_TEACHER, tau)
    args = GOLDEN_TEACHER, GOLDEN_LABELS, 0.2
    return tau, reference.smoothed_where_wrong(soft, *args)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("base, spread", [(4, 2), (10.0, 60.0)])
@pytest.mark.parametrize("eta", [None, 0.8])
def test_objective_and_gradient_match_the_equation(
    adjustment, weight, base, spread, eta
):
    method = METHODS["dtd_la"].build(
        base=base,
        spread=spread,
        adjustment=adjustment,
        epsilon=0.2,
        label_weight=0.3,
        eta=eta,
        **WEIGHTS[weight],
    )
    value, (gradient, to_teacher) = value_and_gradient(method)
    tau, aim = equation(adjustment, weight, base, spread)
    aim = reference.revised(aim, GOLDEN_LABELS, eta)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = reference.dynamic_loss(GOLDEN_STUDENT, aim, tau) + 0.3 * hard
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    slope = tau[:, None] * (reference.softmax(GOLDEN_STUDENT, tau) - aim)
    slope += 0.3 * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-5)
    assert (np.asarray(to_teacher) == 0).all()


def test_by_default_the_temperature_sees_the_adjusted_logits():
    default = supervision(dtd_la.build(base=4.0, spread=2.0))
    tau, _ = equation("shift_first", "cosine", 4, 2)
    np.testing.assert_allclose(default.temperature, tau, rtol=1e-6)
    last = supervision(dtd_la.build(base=4.0, spread=2.0, adjustment="shift_last"))
    own = supervision(dtd_flsw.build(base=4.0, spread=2.0))
    np.testing.assert_array_equal(last.temperature, own.temperature)
    assert np.abs(default.temperature - last.temperature).max() > 0.1


@pytest.mark.parametrize("confusion, spread", [("flsw", 0.0), ("cwsm", 2.0)])
@pytest.mark.parametrize("eta", [None, 0.8])
def test_at_equal_temperatures_the_order_does_not_matter(confusion, spread, eta):
    numbers = {"base": 4.0, "spread": spread, "confusion": confusion, "eta": eta}
    first, last = (
        value_and_gradient(dtd_la.build(adjustment=order, **numbers))
        for order in ("shift_first", "shift_last")
    )
    np.testing.assert_allclose(last[0], first[0], rtol=1e-5)
    np.testing.assert_allclose(last[1][0], first[1][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "adjustment, alone",
    [("shift_first", ka_ps), ("shift_last", ka_ps), ("lsr", ka_lsr)],
)
@pytest.mark.parametrize("eta", [None, 0.8])
def test_without_spread_it_is_the_adjustment_alone(adjustment, alone, eta):
    both = dtd_la.build(base=4.0, spread=0.0, adjustment=adjustment, eta=eta)
    value, _ = value_and_gradient(both)
    expected, _ = value_and_gradient(alone.build(temperature=4.0, eta=eta))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_with_a_teacher_that_is_right_it_is_the_temperature_alone(adjustment):
    labels = GOLDEN_TEACHER.argmax(-1)
    both = dtd_la.build(base=4.0, spread=2.0, gamma=0.5, adjustment=adjustment)
    value, _ = value_and_gradient(both, labels)
    alone = dtd_flsw.build(base=4.0, spread=2.0, gamma=0.5)
    expected, _ = value_and_gradient(alone, labels)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("adjustment", ADJUSTMENTS)
def test_revision_leaves_eta_of_the_adjusted_teacher(adjustment):
    numbers = {"base": 4.0, "spread": 2.0, "adjustment": adjustment}
    adjusted = supervision(dtd_la.build(**numbers)).target
    both = supervision(dtd_la.build(**numbers, eta=0.7)).target
    np.testing.assert_allclose(both, 0.7 * adjusted + 0.3 * ONE_HOT, rtol=1e-5)


def test_parts_that_are_not_asked_for_are_left_out():
    method = dtd_la.build(spread=1.0, num_examples=7)
    assert [t.name for t in method.terms] == ["soft_logits"]
    assert method.supervisor.temperature.init() == ()
    method = dtd_la.build(
        spread=1.0,
        adjustment="lsr",
        label_weight=0.1,
        memory_decay=0.9,
        num_examples=7,
    )
    assert [t.name for t in method.terms] == ["hard_label", "soft_target"]
    assert method.supervisor.temperature.init()["table"].shape == (7,)
    names = [t.name for t in dtd_la.build(spread=1.0, eta=0.8).terms]
    assert names == ["soft_target"]


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"base": 0.5}, "by_confusion: base is 0.5"),
        ({"confusion": "cwsm", "spread": -1.0}, "by_confidence: spread is -1"),
        ({"confusion": "flsw_prob"}, "dtd_la: confusion is 'flsw_prob'"),
        ({"similarity": "dot"}, "dtd_la: similarity is 'dot'; .* 'probabilities'"),
        (
            {"similarity": "probabilities", "confusion": "cwsm"},
            "dtd_la: similarity is 'probabilities' with .* expected confusion 'flsw'",
        ),
        ({"eta": 1.5}, "label_revision: eta is 1.5"),
        ({"adjustment": "ps"}, "dtd_la: adjustment is 'ps'; .* shift_first"),
        ({"epsilon": 2.0}, "smoothed_label: epsilon is 2"),
        ({"label_weight": float("inf")}, "dtd_la: label_weight is inf"),
        ({"memory_decay": 0.5}, "remembered: num_examples is None"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dtd_la.build(**{"spread": 1.0} | arguments)
