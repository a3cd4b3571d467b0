import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from kdjax.methods import kd, lr_mse, terms
from kdjax.methods.base import Method, Term
from kdjax.methods.fallback import with_label_fallback
from kdjax.supervision.pipeline import Supervisor, fixed, stateless
from kdjax.types import LossInputs, Outputs
from tests import reference
from tests.objectives import inputs, objective
from tests.reference import GOLDEN_KL, GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

SELECTION = np.float32([1.0, 0.0, 0.5])
PER_SAMPLE = np.float32([1.0, 4.0, 20.0])


def values_of(term, **stages):
    supervisor = Supervisor(**{"temperature": fixed(4), **stages})
    method = Method(terms=(term,), supervisor=supervisor)
    student_outputs = inputs(
        method, GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS, SELECTION
    )
    return term.values(student_outputs)


@pytest.mark.parametrize("term", [terms.soft_logits(1.0), terms.soft_target(1.0)])
def test_soft_terms_carry_weight_and_each_samples_squared_temperature(term):
    expected = SELECTION * GOLDEN_KL[4.0]
    np.testing.assert_allclose(values_of(term), expected, rtol=1e-5, atol=1e-7)
    values = values_of(term, temperature=stateless(lambda s: jnp.asarray(PER_SAMPLE)))
    expected = [GOLDEN_KL[tau][i] for i, tau in enumerate(PER_SAMPLE.tolist())]
    np.testing.assert_allclose(values, SELECTION * expected, rtol=1e-4, atol=1e-7)


def test_soft_logits_holds_at_a_high_temperature():
    values = values_of(terms.soft_logits(1.0), temperature=fixed(1e6))
    limit = reference.logit_matching(GOLDEN_STUDENT, GOLDEN_TEACHER)
    np.testing.assert_allclose(values, SELECTION * limit, rtol=1e-5)


def test_soft_target_follows_target_rules():
    one_hot = np.float32(reference.one_hot(GOLDEN_LABELS, 4))

    def label(target, s):
        return jnp.asarray(one_hot)

    values = values_of(terms.soft_target(1.0), temperature=fixed(1), target=(label,))
    expected = SELECTION * reference.cross_entropy(GOLDEN_STUDENT, one_hot)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [4.0, float("inf")])
def test_match_logits_uses_the_adjusted_logits_and_no_temperature(temperature):
    def add_one(s):
        return s.teacher_logits + 1

    term = terms.match_logits("distance", 1.0, losses.squared_error)
    values = values_of(term, logits=(add_one,), temperature=fixed(temperature))
    expected = ((GOLDEN_STUDENT - GOLDEN_TEACHER - 1) ** 2).sum(-1)
    np.testing.assert_allclose(values, SELECTION * expected, rtol=1e-5)
    assert term.name == "distance"


def test_hard_label_needs_no_teacher_and_no_selection():
    student_outputs = LossInputs(Outputs(GOLDEN_STUDENT, {}), None, GOLDEN_LABELS, None)
    values = terms.hard_label(0.5, label_smoothing=0.1).values(student_outputs)
    target = 0.9 * reference.one_hot(GOLDEN_LABELS, 4) + 0.025
    expected = reference.cross_entropy(GOLDEN_STUDENT, target)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_weight_zero_gives_no_gradient():
    method = Method(
        terms=(terms.soft_logits(1.0),), supervisor=Supervisor(temperature=fixed(4))
    )

    def total(student):
        student_outputs = inputs(
            method, student, GOLDEN_TEACHER, GOLDEN_LABELS, SELECTION
        )
        return method.terms[0].values(student_outputs).sum()

    gradient = np.asarray(jax.grad(total)(GOLDEN_STUDENT))
    assert (gradient[1] == 0).all() and (gradient[[0, 2]] != 0).all()


@pytest.mark.errors
@pytest.mark.parametrize(
    "term",
    [
        terms.soft_logits(1.0),
        terms.soft_target(1.0),
        terms.match_logits("distance", 1.0, losses.squared_error),
    ],
)
def test_a_term_without_supervision_says_so(term):
    student_outputs = LossInputs(Outputs(GOLDEN_STUDENT, {}), None, GOLDEN_LABELS, None)
    with pytest.raises(ValueError, match=f"{term.name}: inputs.supervision is None"):
        term.values(student_outputs)


@pytest.mark.errors
def test_a_method_has_terms_of_unique_names():
    with pytest.raises(ValueError, match="terms is empty"):
        Method(terms=())
    twice = (terms.hard_label(0.5), Term("hard_label", 0.5, lambda inputs: None))
    with pytest.raises(ValueError, match="'hard_label'.* name more than one term"):
        Method(terms=twice)


@pytest.mark.parametrize("alpha", [1.0, 0.75])
def test_selected_samples_get_the_teacher_and_the_rest_their_labels(alpha):
    selection = np.float32([1, 0, 1])
    plain = kd.build(alpha=alpha, temperature=4.0)
    method = with_label_fallback(plain, "sets")
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    value = objective(method, *given, selection)
    hard = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))
    own = alpha * np.array(GOLDEN_KL[4.0]) + (1 - alpha) * hard
    np.testing.assert_allclose(value, own[[0, 2]].mean() + hard[1], rtol=1e-5)
    # All selected: the method as it is. None: cross entropy.
    plain = objective(kd.build(alpha=alpha, temperature=4.0), *given)
    everywhere = objective(method, *given, np.ones(3, np.float32))
    np.testing.assert_allclose(everywhere, plain, rtol=1e-6)
    nowhere = objective(method, *given, np.zeros(3, np.float32))
    np.testing.assert_allclose(nowhere, hard.mean(), rtol=1e-5)


@pytest.mark.parametrize("alpha", [1.0, 0.75])
def test_over_the_batch_every_sample_counts_once(alpha):
    plain = kd.build(alpha=alpha, temperature=4.0)
    method = with_label_fallback(plain, denominator="batch")
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    hard = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))
    own = alpha * np.array(GOLDEN_KL[4.0]) + (1 - alpha) * hard
    compute = jax.jit(lambda selection: objective(method, *given, selection))
    for selection in ([1, 0, 1], [0, 0, 1], [0, 0, 0]):
        expected = np.where(selection, own, hard).mean()
        value = compute(np.float32(selection))
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    everywhere = compute(np.ones(3, np.float32))
    np.testing.assert_allclose(everywhere, objective(plain, *given), rtol=1e-6)


def test_over_the_batch_weight_rules_keep_their_scale():
    def weigh(s):
        return jnp.asarray([0.5, 2.0, 3.0])

    supervisor = Supervisor(temperature=fixed(4.0), weight=(weigh,))
    plain = Method(terms=(terms.soft_logits(1.0),), supervisor=supervisor)
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    method = with_label_fallback(plain, "batch")
    value = objective(method, *given, np.ones(3, np.float32))
    np.testing.assert_allclose(value, objective(plain, *given), rtol=1e-6)


@pytest.mark.parametrize("denominator", ["sets", "batch"])
def test_the_order_of_a_batch_does_not_matter(denominator):
    method = with_label_fallback(kd.build(alpha=0.75, temperature=4.0), denominator)
    given = (GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS, np.float32([1, 0, 1]))
    value = objective(method, *given)
    order = [1, 2, 0]
    other = objective(method, *(array[order] for array in given))
    np.testing.assert_allclose(other, value, rtol=1e-6)


@pytest.mark.errors
def test_a_denominator_is_one_of_two():
    message = "with_label_fallback: denominator is 'mean'; expected one of sets, batch"
    with pytest.raises(ValueError, match=message):
        with_label_fallback(kd.build(alpha=1.0, temperature=4.0), "mean")


def test_a_method_with_a_label_fallback_stays_as_it_is():
    method = lr_mse.build(num_classes=100)
    assert with_label_fallback(method) is method
    once = with_label_fallback(kd.build(alpha=1.0, temperature=4.0))
    assert with_label_fallback(once) is once
