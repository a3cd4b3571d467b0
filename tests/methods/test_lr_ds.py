import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, lr_ds, lr_mse
from tests import reference
from tests.objectives import inputs, objective
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

SELECTIONS = [[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]]


def parts(method, selection, teacher=GOLDEN_TEACHER):
    student_outputs = inputs(
        method, GOLDEN_STUDENT, teacher, GOLDEN_LABELS, np.float32(selection)
    )
    return [float(jnp.mean(term.values(student_outputs))) for term in method.terms]


def value_and_gradient(method, selection, teacher=GOLDEN_TEACHER):
    loss = jax.value_and_grad(
        lambda s, t: objective(method, s, t, GOLDEN_LABELS, np.float32(selection)),
        argnums=(0, 1),
    )
    return loss(jnp.asarray(GOLDEN_STUDENT), jnp.asarray(teacher))


@pytest.mark.parametrize("selection", SELECTIONS)
def test_parts_match_the_equation_on_every_selection(selection):
    expected = reference.label_revision_parts(
        GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS, selection
    )
    method = METHODS["lr_ds"].build(denominator="sets", num_classes=100)
    np.testing.assert_allclose(parts(method, selection), expected, rtol=1e-5)
    value, (gradient, to_teacher) = value_and_gradient(method, selection)
    total = np.dot([1, 4, 1], expected)
    np.testing.assert_allclose(value, total, rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert (np.asarray(to_teacher) == 0).all()


@pytest.mark.parametrize("selection", SELECTIONS)
def test_over_the_batch_every_sample_counts_once(selection):
    means = reference.label_revision_parts(
        GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS, selection
    )
    right = GOLDEN_TEACHER.argmax(-1) == GOLDEN_LABELS
    numbers = [0, 0, 0]
    for selected, is_right in zip(selection, right, strict=True):
        numbers[0] += bool(is_right or not selected)
        numbers[1] += bool(selected and is_right)
        numbers[2] += bool(selected and not is_right)
    expected = np.multiply(means, numbers) / len(selection)
    method = lr_ds.build(lambda1=0.4, denominator="batch")
    np.testing.assert_allclose(parts(method, selection), expected, rtol=1e-5)
    value, (gradient, to_teacher) = value_and_gradient(method, selection)
    np.testing.assert_allclose(value, np.dot([1, 0.4, 1], expected), rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert (np.asarray(to_teacher) == 0).all()


def test_with_everything_selected_it_is_label_revision():
    everything = np.ones(3)
    selected = lr_ds.build(eta=0.9, denominator="sets", num_classes=100)
    plain = lr_mse.build(eta=0.9, num_classes=100)
    assert parts(selected, everything) == parts(plain, everything)
    selected = lr_ds.build(eta=0.9, denominator="batch", num_classes=100)
    plain = lr_mse.build(eta=0.9, denominator="batch", num_classes=100)
    assert parts(selected, everything) == parts(plain, everything)


def test_with_nothing_selected_it_is_cross_entropy():
    value, (gradient, _) = value_and_gradient(lr_ds.build(num_classes=100), [0, 0, 0])
    one_hot = reference.one_hot(GOLDEN_LABELS, 4)
    hard = reference.cross_entropy(GOLDEN_STUDENT, one_hot)
    np.testing.assert_allclose(value, hard.mean(), rtol=1e-6)
    slope = (reference.softmax(GOLDEN_STUDENT) - one_hot) / 3
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_the_teacher_plays_no_part_where_it_is_not_selected(silent):
    selection = np.arange(3) != silent
    other = GOLDEN_TEACHER.copy()
    other[silent] = [7, -3, 0, 1]
    method = lr_ds.build(num_classes=100)
    assert parts(method, selection) == parts(method, selection, other)
    assert parts(method, np.ones(3)) != parts(method, np.ones(3), other)


def test_the_selection_is_asked_for():
    assert lr_ds.build(num_classes=100).needs == ("selection",)


@pytest.mark.errors
def test_what_is_out_of_range_is_named():
    with pytest.raises(ValueError, match="lr_ds: lambda1 is -1"):
        lr_ds.build(lambda1=-1)
    with pytest.raises(ValueError, match="eta is 1.5"):
        lr_ds.build(eta=1.5, num_classes=100)
    with pytest.raises(ValueError, match="lr_ds: denominator is 'sample'"):
        lr_ds.build(denominator="sample", num_classes=100)
