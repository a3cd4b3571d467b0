import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, ds
from tests import reference
from tests.objectives import objective
from tests.reference import (
    GOLDEN_KL,
    GOLDEN_LABELS,
    GOLDEN_LOGIT_MATCHING,
    GOLDEN_STUDENT,
    GOLDEN_TEACHER,
)

INFINITY = float("inf")
HARD = reference.cross_entropy(GOLDEN_STUDENT, reference.one_hot(GOLDEN_LABELS, 4))
SOFT = {**GOLDEN_KL, INFINITY: GOLDEN_LOGIT_MATCHING}
SELECTIONS = [[1, 1, 1], [1, 1, 0], [0, 0, 1], [0, 0, 0]]


def value_and_gradient(method, selection, teacher=GOLDEN_TEACHER):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, np.float32(selection)),
        argnums=(0, 1),
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(teacher))


def mean_over(values, members):
    values = [v for v, inside in zip(values, members, strict=True) if inside]
    return np.mean(values) if values else 0.0


@pytest.mark.parametrize("temperature", [4.0, INFINITY])
@pytest.mark.parametrize("alpha", [1, 0.9])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_each_set_of_samples_has_its_own_mean(selection, alpha, temperature):
    method = METHODS["ds"].build(
        temperature=temperature, alpha=alpha, denominator="sets"
    )
    value, (gradient, to_teacher) = value_and_gradient(method, selection)
    expected = mean_over(HARD, [not m for m in selection])
    expected += (1 - alpha) * mean_over(HARD, selection)
    expected += alpha * mean_over(SOFT[temperature], selection)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert (np.asarray(to_teacher) == 0).all()


@pytest.mark.parametrize("temperature", [4.0, INFINITY])
@pytest.mark.parametrize("alpha", [1, 0.9])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_over_the_batch_every_sample_counts_once(selection, alpha, temperature):
    method = METHODS["ds"].build(
        temperature=temperature, alpha=alpha, denominator="batch"
    )
    value, (gradient, to_teacher) = value_and_gradient(method, selection)
    expected = 0.0
    for i, selected in enumerate(selection):
        teacher = alpha * SOFT[temperature][i] + (1 - alpha) * HARD[i]
        expected += (teacher if selected else HARD[i]) / len(selection)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert (np.asarray(to_teacher) == 0).all()


def test_gradient_is_the_teachers_on_the_selected_and_the_labels_on_the_rest():
    method = ds.build(temperature=4, denominator="sets")
    _, (gradient, _) = value_and_gradient(method, [1, 0, 1])
    slope = reference.softmax(GOLDEN_STUDENT, 4.0)
    slope = 4 * (slope - reference.softmax(GOLDEN_TEACHER, 4.0)) / 2
    slope[1] = reference.softmax(GOLDEN_STUDENT)[1] - [0, 1, 0, 0]
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_the_teacher_plays_no_part_where_it_is_not_selected():
    other = GOLDEN_TEACHER.copy()
    other[1] = [7, -3, 0, 1]
    method = ds.build(temperature=4, denominator="sets")
    for selection, same in (([1, 0, 1], True), ([1, 1, 1], False)):
        values = [
            value_and_gradient(method, selection, t)[0] for t in (GOLDEN_TEACHER, other)
        ]
        assert (values[0] == values[1]) == same


def test_the_selection_is_asked_for_and_terms_have_names():
    method = ds.build(temperature=4, alpha=0.5)
    assert method.needs == ("selection",)
    names = ["label_unselected", "hard_label", "soft_logits"]
    assert [term.name for term in method.terms] == names


@pytest.mark.errors
@pytest.mark.parametrize(
    "numbers, message",
    [
        ({"temperature": 0}, "ds: temperature is 0"),
        ({"temperature": 4, "alpha": 0}, "ds: alpha is 0; expected a number above 0"),
        (
            {"temperature": 4, "denominator": "set"},
            "ds: denominator is 'set'; expected one of sets, batch",
        ),
        ({"temperature": 4, "alpha": 1.5}, "ds: alpha is 1.5; expected a number from"),
    ],
)
def test_what_is_out_of_range_is_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        ds.build(**numbers)
