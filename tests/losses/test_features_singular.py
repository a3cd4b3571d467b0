"""KDSVD in both public forms against float64 NumPy, and its bounded derivative."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from kdjax.losses import singular_vectors

RANDOM = np.random.default_rng(3)


def levels(*shapes):
    return [RANDOM.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]


FORMS = {
    # Equal channels, of maps of other sizes, the last with more channels than
    # positions; and equal widths, of other channels.
    "repdistiller": (
        levels((6, 6, 4), (4, 4, 5), (2, 2, 6)),
        levels((6, 6, 4), (5, 5, 5), (2, 3, 6)),
    ),
    "mdistiller": (
        levels((6, 6, 3), (4, 4, 4), (4, 4, 5)),
        levels((6, 6, 4), (4, 4, 3), (4, 4, 8)),
    ),
}
loss = jax.jit(losses.singular_vector_rbf, static_argnames=("k", "form"))


@functools.partial(jax.jit, static_argnames=("k", "form"))
@jax.value_and_grad
def with_gradient(both, k, form):
    return losses.singular_vector_rbf(*both, k, form).sum()


def reference(students, teachers, k, form):
    """Of one sample, level by level and entry by entry."""
    total, before = 0.0, None
    for s, t in zip(students, teachers, strict=True):
        matrices = []
        for x in (np.float64(s), np.float64(t)):
            if form == "repdistiller":
                matrices.append(np.stack([row for line in x for row in line]))
            else:
                rows = [x[i, :, c] for c in range(x.shape[2]) for i in range(len(x))]
                matrices.append(np.stack(rows))
        _, _, vs = np.linalg.svd(matrices[0], full_matrices=False)
        _, values, vt = np.linalg.svd(matrices[1], full_matrices=False)
        values = values[:k] / np.linalg.norm(values[:k])
        now = []
        for m in range(k):
            teacher = vt[m] * np.sign(vt[m][np.argmax(np.abs(vt[m]))])
            cosines = [v @ teacher for v in vs[: k + 3]]
            best = int(np.argmax(np.abs(cosines)))
            student = vs[best] * np.sign(cosines[best])
            now.append((student * values[m], teacher * values[m]))
        if before is not None:
            for (s1, t1), (s0, t0) in zip(now, before, strict=True):
                for i in range(len(s1)):
                    for j in range(len(s0)):
                        of_student = np.exp(-((s1[i] - s0[j]) ** 2) / 8)
                        of_teacher = np.exp(-((t1[i] - t0[j]) ** 2) / 8)
                        total += (of_student - of_teacher) ** 2
        before = now
    return total


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("k", [1, 2])
def test_value_equals_the_reference(form, k):
    students, teachers = FORMS[form]
    values = loss(students, teachers, k=k, form=form)
    assert values.shape == (2,) and values.dtype == jnp.float32
    for i in range(2):
        s, t = [x[i] for x in students], [x[i] for x in teachers]
        np.testing.assert_allclose(values[i], reference(s, t, k, form), rtol=1e-5)


def test_with_one_vector_the_singular_values_drop_out():
    students, teachers = FORMS["repdistiller"]
    scaled = [5 * x for x in teachers]
    values = loss(students, teachers, k=1)
    np.testing.assert_allclose(loss(students, scaled, k=1), values, rtol=1e-5)


def test_the_sign_of_a_map_plays_no_part():
    students, teachers = FORMS["repdistiller"]
    values = loss(students, teachers, k=2)
    turned = [-students[0], students[1], -students[2]], [teachers[0], -teachers[1]]
    other = loss(turned[0], [*turned[1], teachers[2]], k=2)
    np.testing.assert_allclose(other, values, rtol=1e-5)


def inner(gradient, steps):
    return sum(
        jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, steps))
    )


@pytest.mark.parametrize("form", FORMS)
def test_gradients_numerically(form):
    """In one random direction, by central differences of the float64 reference."""
    both = FORMS[form]
    steps = jax.tree.map(lambda x: RANDOM.normal(size=x.shape), both)

    def at(size):
        moved = jax.tree.map(lambda x, d: np.float64(x) + size * d, both, steps)
        samples = [[[x[i] for x in maps] for maps in moved] for i in range(2)]
        return sum(reference(*sample, 2, form) for sample in samples)

    expected = (at(1e-6) - at(-1e-6)) / 2e-6
    _, gradient = with_gradient(both, 2, form)
    np.testing.assert_allclose(inner(gradient, steps), expected, rtol=2e-3)


@pytest.mark.parametrize("batch", [1, 32])  # programs that round in other ways
def test_singular_vectors_turn_and_do_not_grow(batch):
    a, da = RANDOM.normal(size=(2, batch, 9, 5)).astype(np.float32)
    top = jax.jit(lambda x: singular_vectors._singular(x, 3))
    (_, v), (ds, dv) = jax.jvp(top, (a,), (da,))
    np.testing.assert_allclose((v * dv).sum(1), 0, atol=1e-3)
    u, _, _ = np.linalg.svd(a, full_matrices=False)
    moved = np.einsum("bni,bnd,bdi->bi", u[..., :3], da, np.asarray(v))
    np.testing.assert_allclose(np.abs(ds), np.abs(moved), rtol=1e-3, atol=1e-4)


def test_gradients_forward_and_backward_agree():
    both = FORMS["mdistiller"]
    steps = jax.tree.map(lambda x: np.float32(RANDOM.normal(size=x.shape)), both)

    @jax.jit
    def along(both, steps):
        return jax.jvp(lambda *b: loss(*b, k=2, form="mdistiller").sum(), both, steps)

    _, gradient = with_gradient(both, 2, "mdistiller")
    forward = along(both, steps)[1]
    np.testing.assert_allclose(inner(gradient, steps), forward, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ["zeros", "constant", "rank", "equal", "student"])
def test_gradients_are_finite_where_singular_values_are_equal(form, case):
    students, teachers = FORMS[form]
    if case == "zeros":
        students, teachers = ([0 * x for x in m] for m in (students, teachers))
    if case == "student":
        students = [0 * x for x in students]
    if case == "constant":
        students = [np.ones_like(x) for x in students]
    if case == "rank":  # channels that never fire
        students, teachers = (
            [np.where(np.arange(x.shape[-1]) < 2, np.maximum(x, 0), 0) for x in m]
            for m in (students, teachers)
        )
    if case == "equal":  # orthogonal columns of one length
        students = [np.zeros_like(x) for x in students]
        for x in students:
            for i in range(min(x.shape[2:])):
                x[:, i % x.shape[1], i, i] = 1
    both = (students, teachers)
    value, gradient = with_gradient(both, 2, form)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    if case == "zeros":
        assert value == 0 and not any(g.any() for g in jax.tree.leaves(gradient))


def test_bfloat16_is_computed_in_float32():
    both = jax.tree.map(jnp.bfloat16, FORMS["repdistiller"])
    values = loss(*both)
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, loss(*jax.tree.map(np.float32, both)), rtol=1e-5)


@pytest.mark.errors
def test_errors_name_what_does_not_fit():
    students, teachers = FORMS["repdistiller"]
    rbf = losses.singular_vector_rbf
    with pytest.raises(ValueError, match="expected as many of both, two or more"):
        rbf(students[:1], teachers[:1])
    with pytest.raises(ValueError, match="3 maps of the student and 2 of the teacher"):
        rbf(students, teachers[:2])
    with pytest.raises(ValueError, match=r"teachers\[0\] has channels0=3"):
        rbf(students, [teachers[0][..., :3], *teachers[1:]])
    with pytest.raises(ValueError, match=r"teachers\[1\] has width1=5"):
        rbf(students, teachers, form="mdistiller")
    with pytest.raises(ValueError, match="k is 0; expected 1 to 4, the rank"):
        rbf(students, teachers, k=0)
    with pytest.raises(ValueError, match="form is 'svd'"):
        rbf(students, teachers, form="svd")
