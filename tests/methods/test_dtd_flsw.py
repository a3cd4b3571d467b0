import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, dtd_flsw, kd, lr_kl
from kdjax.methods.fallback import with_label_fallback
from tests import reference
from tests.networks import linear
from tests.objectives import inputs, objective
from tests.reference import GOLDEN_KL, GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER
from tests.training import problems

GOLDEN = np.array([0.996658, 0.255901, 0.448244])  # base 4, spread 2, gamma 1
GOLDEN_REVISED = np.array([0.945292, 1.456467, 0.568688])  # and eta 0.8
ONE_HOT = reference.one_hot(GOLDEN_LABELS, 4)


def value_and_gradient(method, selection=None):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, selection), argnums=(0, 1)
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(GOLDEN_TEACHER))


def weight(similarity, gamma):
    if similarity == "cosine":
        return reference.confusion(GOLDEN_STUDENT, GOLDEN_TEACHER, gamma)
    return reference.confusion_of_probabilities(GOLDEN_STUDENT, GOLDEN_TEACHER, gamma)


def test_golden():
    value, _ = value_and_gradient(METHODS["dtd_flsw"].build(base=4.0, spread=2.0))
    np.testing.assert_allclose(value, 0.566934, rtol=1e-5)
    value, _ = value_and_gradient(dtd_flsw.build(base=4.0, spread=2.0, eta=0.8))
    np.testing.assert_allclose(value, GOLDEN_REVISED.mean(), rtol=1e-5)


def test_with_the_defaults_revision_makes_of_losses_what_the_docstring_says():
    method = dtd_flsw.build(eta=0.8)
    student_outputs = inputs(method, GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    losses = method.terms[0].values(student_outputs)
    np.testing.assert_allclose(losses, [0.511992, 20.494084, 3.113268], rtol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "probabilities"])
@pytest.mark.parametrize(
    "base, spread, gamma", [(4, 2, 0.5), (10.0, 40.0, 1), (5, 80, 2)]
)
@pytest.mark.parametrize("eta", [None, 0.8])
def test_objective_and_gradient_match_the_equation(
    similarity, base, spread, gamma, eta
):
    numbers = {"base": base, "spread": spread, "gamma": gamma, "eta": eta}
    method = dtd_flsw.build(**numbers, similarity=similarity, label_weight=0.3)
    value, (gradient, to_teacher) = value_and_gradient(method)
    w = weight(similarity, gamma)
    tau = reference.dynamic_temperature(w, base, spread, lowest=1.0)
    assert spread < 80 or tau.min() == 1.0  # the floor takes part in the last
    aim = reference.softmax(GOLDEN_TEACHER, tau)
    aim = reference.revised(aim, GOLDEN_LABELS, eta)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = reference.dynamic_loss(GOLDEN_STUDENT, aim, tau) + 0.3 * hard
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)
    # tau is a constant to the gradient, though the student has a part in it.
    slope = tau[:, None] * (reference.softmax(GOLDEN_STUDENT, tau) - aim)
    slope += 0.3 * (reference.softmax(GOLDEN_STUDENT) - ONE_HOT)
    np.testing.assert_allclose(gradient, slope / 3, rtol=1e-4, atol=1e-6)
    assert (np.asarray(to_teacher) == 0).all()


def test_without_spread_it_is_kd():
    value, _ = value_and_gradient(dtd_flsw.build(base=4.0, spread=0.0))
    np.testing.assert_allclose(value, np.mean(GOLDEN_KL[4.0]), rtol=1e-5)
    same, _ = value_and_gradient(kd.build(alpha=1, temperature=4))
    np.testing.assert_array_equal(value, same)
    value, _ = value_and_gradient(dtd_flsw.build(base=4.0, spread=0.0, eta=0.8))
    numbers = {"gamma": 0, "alpha": 1.0, "temperature": 4.0, "softened": True}
    same, _ = value_and_gradient(lr_kl.build(**numbers, eta=0.8))
    np.testing.assert_array_equal(value, same)


def test_selection_weighs_the_teacher_and_not_the_labels():
    selection = np.float32([1.0, 0.0, 0.5])
    method = dtd_flsw.build(base=4.0, spread=2.0, label_weight=0.5)
    value, _ = value_and_gradient(method, selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    expected = 0.5 * hard + selection * GOLDEN
    np.testing.assert_allclose(value, expected.mean(), rtol=1e-5)


@pytest.mark.parametrize("selection", [[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
def test_a_run_that_selects_gives_the_others_their_labels(selection):
    method = dtd_flsw.build(base=4.0, spread=2.0, eta=0.8, label_weight=0.3)
    method = with_label_fallback(method, "sets")
    value, (gradient, _) = value_and_gradient(method, np.float32(selection))
    # The temperatures are those of the whole batch, whoever was selected.
    w = reference.confusion(GOLDEN_STUDENT, GOLDEN_TEACHER)
    tau = reference.dynamic_temperature(w, 4, 2)
    soft = reference.softmax(GOLDEN_TEACHER, tau)
    aim = reference.label_revision(soft, soft, GOLDEN_LABELS, 0.8)
    hard = reference.cross_entropy(GOLDEN_STUDENT, ONE_HOT)
    own = reference.dynamic_loss(GOLDEN_STUDENT, aim, tau) + 0.3 * hard
    to_label = reference.softmax(GOLDEN_STUDENT) - ONE_HOT
    slope = tau[:, None] * (reference.softmax(GOLDEN_STUDENT, tau) - aim)
    slope += 0.3 * to_label
    expected, selected = 0.0, np.array(selection, bool)
    for losses, towards, part in ((own, slope, selected), (hard, to_label, ~selected)):
        if part.any():
            expected += losses[part].mean()
            slope[part] = towards[part] / part.sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_the_cross_entropy_is_left_out_at_weight_zero():
    assert [t.name for t in dtd_flsw.build().terms] == ["soft_logits"]
    names = [t.name for t in dtd_flsw.build(label_weight=0.1).terms]
    assert names == ["hard_label", "soft_logits"]
    names = [t.name for t in dtd_flsw.build(label_weight=0.1, eta=0.8).terms]
    assert names == ["hard_label", "soft_target"]


@pytest.mark.parametrize("devices", [1, 8])
def test_the_step_carries_the_memory_and_logs_the_floor(devices):
    method = dtd_flsw.build(
        base=4.0, spread=20.0, lowest=1.5, memory_decay=0.5, num_examples=problems.COUNT
    )
    students = {"dtd": problems.student(method, network=linear(problems.CLASSES))}
    problem = problems.Problem(devices, students)
    states, metrics = problem.run(problem.initialise(), 0, 1)
    state = states["dtd"].supervision_state["temperature"]
    table = np.asarray(state["table"])
    student_outputs = np.sort(np.asarray(problem.feed.batch_spec(0)["index"]))
    np.testing.assert_array_equal(np.flatnonzero(table), student_outputs)
    logged = metrics["dtd"]
    share = (table[student_outputs] <= 1.5).mean()
    assert 0 < share < 1
    np.testing.assert_allclose(logged["temperature/floored"], share, rtol=1e-6)
    for name in ("mean", "min", "max"):
        expected = getattr(table[student_outputs], name)()
        np.testing.assert_allclose(logged[f"temperature/{name}"], expected, rtol=1e-5)
    states, _ = problem.run(states, 1, 4)
    table = np.asarray(states["dtd"].supervision_state["temperature"]["table"])
    assert (table >= 1.5).all()  # after an epoch no sample is left


def test_no_memory_keeps_no_state_whatever_the_run_tells():
    method = dtd_flsw.build(num_examples=problems.COUNT)
    assert method.supervisor.temperature.init() == ()


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"base": 0.0}, "by_confusion: base is 0"),
        ({"base": 2.0, "lowest": 3.0}, "by_confusion: base is 2; .* lowest, 3"),
        ({"spread": -1.0}, "by_confusion: spread is -1"),
        ({"gamma": 0.0}, "by_confusion: gamma is 0"),
        (
            {"gamma": 0.0, "similarity": "probabilities"},
            "by_confusion_of_probabilities: gamma is 0",
        ),
        ({"similarity": "dot"}, "dtd_flsw: similarity is 'dot'; .* 'probabilities'"),
        ({"label_weight": -1.0}, "dtd_flsw: label_weight is -1"),
        ({"eta": 0.0}, "label_revision: eta is 0"),
        ({"memory_decay": 0.5}, "remembered: num_examples is None"),
        ({"memory_decay": 2.0, "num_examples": 3}, "remembered: decay is 2"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        dtd_flsw.build(**arguments)
