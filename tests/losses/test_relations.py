"""Relations between samples against loops in float64, on batches and sub-batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses


def unit(x, eps=0.0):
    return x / (np.linalg.norm(x) + eps) if np.any(x) else np.zeros_like(x)


def huber(x):
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def similarity_preserving(student, teacher):
    def gram(f):
        f = f.reshape(len(f), -1)
        return np.array([unit(row) for row in f @ f.T])

    return np.sum((gram(teacher) - gram(student)) ** 2) / len(student) ** 2


def correlation_congruence(student, teacher):
    delta = np.abs(student - teacher)
    n = len(delta)
    return sum(delta[i] @ delta[i + 1] for i in range(n - 1)) / max(n - 1, 1)


def relational_distance(student, teacher):
    def distances(f):
        n = len(f)
        d = [[max(np.linalg.norm(a - b), 1e-6) for b in f] for a in f]
        d = np.array(d) * (1 - np.eye(n))  # the public code's floor, and its diagonal
        return d / d[d > 0].mean() if n > 1 else d

    gap = distances(student) - distances(teacher)
    return np.mean([huber(x) for x in gap.flat])


def relational_angle(student, teacher):
    n, values = len(student), []
    for i in range(n):
        for j in range(n):
            for k in range(n):
                s, t = (
                    unit(f[j] - f[i]) @ unit(f[k] - f[i]) for f in (student, teacher)
                )
                values.append(huber(s - t))
    return np.mean(values)


def probabilistic_knowledge(student, teacher):
    def similarities(f):
        f = np.array([unit(row, 1e-7) for row in f])
        k = (f @ f.T + 1) / 2
        return k / k.sum(1, keepdims=True)

    p, q = similarities(teacher), similarities(student)
    return np.mean(p * np.log((p + 1e-7) / (q + 1e-7)))


REFERENCES = (
    similarity_preserving,
    correlation_congruence,
    relational_distance,
    relational_angle,
    probabilistic_knowledge,
)
BATCH = 6
MASKS = {
    "all": [1, 1, 1, 1, 1, 1],
    "four": [0, 1, 1, 0, 0.5, 2],
    "two": [0, 1, 0, 0, 1, 0],
    "one": [0, 0, 0, 1, 0, 0],
    "none": [0, 0, 0, 0, 0, 0],
}
each = pytest.mark.parametrize("reference", REFERENCES, ids=lambda f: f.__name__)


def features(seed=0, channels=5):
    draw = np.random.default_rng(seed)
    make = lambda c: np.float32(draw.normal(size=(BATCH, c)) * 2 + 0.5)  # noqa: E731
    return make(5), make(channels)


def numerical_gradient(f, x, eps=1e-5):
    """Central differences in float64."""
    slope = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[at] = eps
        slope[at] = (f(x + step) - f(x - step)) / (2 * eps)
    return slope


@functools.cache
def compiled(name):
    """Values and the gradient of their sum, of both arguments."""
    loss = getattr(losses, name)

    def total(student, teacher, where):
        values = loss(student, teacher, where)
        return values.sum(), values

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))


def evaluate(reference, student, teacher, mask):
    (_, values), gradients = compiled(reference.__name__)(
        student, teacher, np.float32(mask)
    )
    assert values.dtype == jnp.float32 and values.shape == (BATCH,)
    return np.asarray(values), [np.asarray(g) for g in gradients]


@each
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_relation_is_the_published_number_of_the_sub_batch(reference, mask):
    student, teacher = features()
    values, gradients = evaluate(reference, student, teacher, mask)
    kept = np.float32(mask) > 0
    assert (values[~kept] == 0).all()
    assert all((g[~kept] == 0).all() and np.isfinite(g).all() for g in gradients)
    if kept.any():
        s, t = student[kept].astype(float), teacher[kept].astype(float)
        expected = reference(s, t)
        mean = values.sum() / kept.sum()
        np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-9)


@each
def test_relation_without_a_mask_is_that_of_all_samples(reference):
    student, teacher = features(3)
    values, _ = evaluate(reference, student, teacher, MASKS["all"])
    plain = getattr(losses, reference.__name__)(student, teacher)
    np.testing.assert_allclose(plain, values, rtol=1e-5)
    expected = reference(student.astype(float), teacher.astype(float))
    np.testing.assert_allclose(plain.mean(), expected, rtol=1e-5)


@each
def test_relation_does_not_see_what_is_not_selected(reference):
    student, teacher = features()
    mask = np.array(MASKS["four"])
    values, gradients = evaluate(reference, student, teacher, mask)
    student[mask == 0], teacher[mask == 0] = np.nan, 1e6
    others, slopes = evaluate(reference, student, teacher, mask)
    np.testing.assert_array_equal(values, others)
    np.testing.assert_array_equal(gradients, slopes)


@each
@pytest.mark.parametrize("mask", ["all", "four"])
def test_relation_gradients_are_those_of_the_reference(reference, mask):
    student, teacher = features(1)
    kept = np.float32(MASKS[mask]) > 0
    _, gradients = evaluate(reference, student, teacher, MASKS[mask])
    s, t = student[kept].astype(float), teacher[kept].astype(float)
    slopes = (
        numerical_gradient(lambda x: len(x) * reference(x, t), s),
        numerical_gradient(lambda x: len(x) * reference(s, x), t),
    )
    for gradient, slope in zip(gradients, slopes, strict=True):
        atol = 2e-5 * np.abs(slope).max()
        np.testing.assert_allclose(gradient[kept], slope, rtol=1e-4, atol=atol)


@each
def test_relation_of_a_permuted_batch_is_permuted(reference):
    if reference is correlation_congruence:
        pytest.skip("its pairs are neighbours in the batch")
    student, teacher = features()
    mask, order = np.array(MASKS["four"]), np.array([3, 1, 5, 0, 4, 2])
    values, _ = evaluate(reference, student, teacher, mask)
    permuted, _ = evaluate(reference, student[order], teacher[order], mask[order])
    np.testing.assert_allclose(permuted, values[order], rtol=1e-5, atol=1e-8)


@each
@pytest.mark.parametrize("kind", ["zero student", "zero", "equal", "two equal", "same"])
def test_relation_is_finite_with_finite_gradients_at_degenerate_features(
    reference, kind
):
    student, teacher = features()
    if kind == "zero student":
        student[:] = 0
    elif kind == "zero":
        student[1] = teacher[4] = 0
    elif kind == "equal":
        student[:], teacher[:] = 1.5, 0.1
    elif kind == "two equal":
        student[2], teacher[5] = student[0], teacher[0]
    else:
        student = teacher
    values, gradients = evaluate(reference, student, teacher, MASKS["all"])
    assert all(np.isfinite(g).all() and np.abs(g).max() < 1e3 for g in gradients)
    expected = reference(student.astype(float), teacher.astype(float))
    np.testing.assert_allclose(values.mean(), expected, rtol=1e-4, atol=2e-6)


@each
def test_relation_takes_bfloat16_and_other_channels(reference):
    channels = 5 if reference is correlation_congruence else 3
    student, teacher = features(2, channels)
    student, teacher = jnp.bfloat16(student), jnp.bfloat16(teacher)
    values = getattr(losses, reference.__name__)(student, teacher)
    assert values.dtype == jnp.float32
    s, t = (np.asarray(x.astype(jnp.float32), float) for x in (student, teacher))
    np.testing.assert_allclose(values.mean(), reference(s, t), rtol=1e-5)


def test_similarity_preserving_takes_maps_of_different_grids():
    draw = np.random.default_rng(5)
    student = np.float32(draw.normal(size=(4, 2, 2, 3)))
    teacher = np.float32(draw.normal(size=(4, 4, 4, 2)))
    values = losses.similarity_preserving(student, teacher)
    expected = similarity_preserving(student.astype(float), teacher.astype(float))
    np.testing.assert_allclose(values.mean(), expected, rtol=1e-5)


def test_probabilistic_knowledge_keeps_its_digits_near_the_teacher():
    """Its weight is 30000, and a difference of logs has no digit left here."""
    _, teacher = features()
    student = teacher + np.float32(1e-3) * features(8)[0]
    values = losses.probabilistic_knowledge(student, teacher)
    expected = probabilistic_knowledge(student.astype(float), teacher.astype(float))
    assert expected < 1e-7
    np.testing.assert_allclose(values.mean(), expected, rtol=2e-3)


@pytest.mark.errors
def test_relations_name_what_does_not_fit():
    student, teacher = features()
    maps = np.zeros((BATCH, 2, 2, 5), np.float32)
    with pytest.raises(ValueError, match="teacher_features has batch=4"):
        losses.relational_angle(student, teacher[:4])
    with pytest.raises(ValueError, match="relational_distance: student_features has"):
        losses.relational_distance(maps, teacher)
    with pytest.raises(ValueError, match="teacher_embedding has channels=4"):
        losses.correlation_congruence(student, teacher[:, :4])
    with pytest.raises(ValueError, match="similarity_preserving: where has shape"):
        losses.similarity_preserving(student, teacher, np.ones(3))
    with pytest.raises(ValueError, match="eps is 0"):
        losses.probabilistic_knowledge(student, teacher, eps=0.0)
