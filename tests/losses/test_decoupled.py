import decimal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from kdjax import losses
from tests import reference

RNG = np.random.default_rng(0)
STUDENT = np.float32(3 * RNG.normal(size=(6, 7)))
TEACHER = np.float32(4 * RNG.normal(size=(6, 7)))
LABELS = np.int32([0, 3, 6, 2, 2, 5])
TAUS = [0.5, 1.0, 4.0, 1e4]
target = jax.jit(losses.decoupled_target)
nontarget = jax.jit(losses.decoupled_nontarget)
parts_of = jax.jit(losses.generalised_decoupled, static_argnames="k")
LABELLED = {
    "target": target,
    "nontarget": nontarget,
    "normalised_nontarget": jax.jit(losses.normalised_nontarget),
}


def exact(student, teacher, tau, group):
    """(between, within the group, within the rest) of one row, in 60 digits."""
    with decimal.localcontext(decimal.Context(prec=60)):
        tau = decimal.Decimal(float(tau))

        def softmax(row):
            e = [(decimal.Decimal(float(x)) / tau).exp() for x in row]
            return [x / sum(e) for x in e]

        p, q = softmax(teacher), softmax(student)
        sides = [[i for i in range(len(p)) if (i in group) == b] for b in (True, False)]
        between, within = decimal.Decimal(0), []
        for side in sides:
            big_p, big_q = sum(p[i] for i in side), sum(q[i] for i in side)
            between += big_p * (big_p / big_q).ln()
            within.append(
                sum(p[i] / big_p * (p[i] * big_q / q[i] / big_p).ln() for i in side)
            )
        return float(between), float(within[0]), float(within[1])


def top(row, k):
    return set(np.argsort(-row, kind="stable")[:k].tolist())


@pytest.mark.parametrize("tau", TAUS)
def test_both_parts_match_the_equations_at_every_temperature(tau):
    rows = zip(STUDENT, TEACHER, LABELS, strict=True)
    expected = np.array([exact(s, t, tau, {y}) for s, t, y in rows])
    given = STUDENT, TEACHER, LABELS, np.float32(tau)
    np.testing.assert_allclose(target(*given), expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(nontarget(*given), expected[:, 2], rtol=1e-5)


def test_digits_are_kept_between_logits_that_nearly_agree():
    near = np.float32(TEACHER + 1e-3 * STUDENT)
    rows = zip(near, TEACHER, LABELS, strict=True)
    expected = np.array([exact(s, t, 4.0, {y}) for s, t, y in rows])
    given = near, TEACHER, LABELS, np.float32(4.0)
    np.testing.assert_allclose(target(*given), expected[:, 0], rtol=1e-4)
    np.testing.assert_allclose(nontarget(*given), expected[:, 2], rtol=1e-4)


@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("tau", TAUS)
def test_three_parts_match_the_equations_at_every_temperature(tau, k):
    rows = zip(STUDENT, TEACHER, strict=True)
    expected = np.array([exact(s, t, tau, top(t, k)) for s, t in rows])
    parts = parts_of(STUDENT, TEACHER, np.float32(tau), k=k)
    for part, value in zip(parts, expected.T, strict=True):
        np.testing.assert_allclose(part, value, rtol=1e-5, atol=1e-30)


def test_the_parts_add_up_to_the_divergence():
    tau = 4.0
    whole = losses.kl_divergence(STUDENT, TEACHER, tau)
    p = reference.softmax(TEACHER, tau)
    at_y = p[np.arange(6), LABELS]
    given = STUDENT, TEACHER, LABELS, tau
    np.testing.assert_allclose(
        target(*given) + (1 - at_y) * nontarget(*given), whole, rtol=1e-5
    )
    parts = parts_of(STUDENT, TEACHER, tau, k=2)
    share = np.sort(p)[:, -2:].sum(-1)
    total = parts.between + share * parts.within_top + (1 - share) * parts.within_rest
    np.testing.assert_allclose(total, whole, rtol=1e-5)


def test_nontarget_is_the_authors_code_at_normal_logits():
    tau, hidden = 4.0, 1000.0 * reference.one_hot(LABELS, 7)
    s, t = STUDENT / tau - hidden, TEACHER / tau - hidden
    expected = reference.kl_to_target(s, reference.softmax(t), 1.0)
    given = STUDENT, TEACHER, LABELS, tau
    np.testing.assert_allclose(nontarget(*given), expected, rtol=1e-5)


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_normalised_parts_match_a_loop(tau):
    targets, rest = [], []
    for s, t, y in zip(np.float64(STUDENT), np.float64(TEACHER), LABELS, strict=True):
        p, q = np.exp(t) / np.exp(t).sum(), np.exp(s) / np.exp(s).sum()
        targets.append(-p[y] * np.log(q[y]))
        others = [k for k in range(7) if k != y]
        p = np.exp(t[others] / tau) / np.exp(t[others] / tau).sum()
        q = np.exp(s[others] / tau) / np.exp(s[others] / tau).sum()
        rest.append(-sum(p * np.log(q)))
    values = losses.normalised_target(STUDENT, TEACHER, LABELS)
    np.testing.assert_allclose(values, targets, rtol=1e-5)
    values = losses.normalised_nontarget(STUDENT, TEACHER, LABELS, tau)
    np.testing.assert_allclose(values, rest, rtol=1e-5)


@pytest.mark.parametrize("name", LABELLED)
def test_gradients_numerically(name):
    @jax.jit
    def loss(s, t):
        return LABELLED[name](s, t, LABELS, 2.0)

    given = jnp.asarray(STUDENT), jnp.asarray(TEACHER)
    check_grads(loss, given, order=1, modes=("rev",), rtol=0.02, atol=0.02)


def test_other_gradients_numerically():
    @jax.jit
    def normalised(s):
        return losses.normalised_target(s, TEACHER, LABELS)

    @jax.jit
    def decoupled(s):
        return sum(parts_of(s, TEACHER, 2.0, k=3))

    for loss in (normalised, decoupled):
        check_grads(
            loss, (jnp.asarray(STUDENT),), order=1, modes=("rev",), rtol=0.02, atol=0.02
        )


EXTREME = {
    "zeros": (np.zeros((2, 4)), np.zeros((2, 4))),
    "equal": (np.tile([1.0, 2, 3, 4], (2, 1)), np.tile([1.0, 2, 3, 4], (2, 1))),
    "huge": ([[1e5, -1e5, 0, 3]] * 2, [[-1e5, 1e5, 0, 3]] * 2),
    "label far above": ([[4e3, 0, 1, 2]] * 2, [[4e3, 2, 1, 0]] * 2),
    "masked": ([[1, -np.inf, 0, 3]] * 2, [[2, -np.inf, 1, 0]] * 2),
}


@jax.jit
def all_parts(s, t, labels, tau):
    def total(s, t, tau):
        parts = [f(s, t, labels, tau) for f in LABELLED.values()]
        parts += [*parts_of(s, t, tau, k=2), losses.normalised_target(s, t, labels)]
        return sum(x.sum() for x in parts), parts

    return jax.grad(total, (0, 1, 2), has_aux=True)(s, t, tau)


@pytest.mark.parametrize("case", EXTREME)
@pytest.mark.parametrize("tau", [1e-3, 1.0, 1e6])
def test_values_and_gradients_are_finite_at_extremes(case, tau):
    s, t = (jnp.float32(x) for x in EXTREME[case])
    gradients, parts = all_parts(s, t, np.int32([0, 2]), np.float32(tau))
    assert all(np.isfinite(x).all() and (x >= 0).all() for x in map(np.asarray, parts))
    assert all(np.isfinite(x).all() for x in gradients)
    if case in ("zeros", "equal"):
        np.testing.assert_array_equal(parts[0], 0)
        np.testing.assert_array_equal(parts[1], 0)


def test_two_classes_have_no_nontarget_part():
    given = STUDENT[:, :2], TEACHER[:, :2], LABELS % 2, 4.0
    np.testing.assert_array_equal(nontarget(*given), 0)
    whole = losses.kl_divergence(*given[:2], 4.0)
    np.testing.assert_allclose(target(*given), whole, rtol=1e-5)


def test_bfloat16_goes_in_and_float32_comes_out():
    s, t = jnp.bfloat16(STUDENT), jnp.bfloat16(TEACHER)
    exact = np.float32(s), np.float32(t)
    for loss in LABELLED.values():
        values = loss(s, t, LABELS.astype(np.uint8), 4.0)
        assert values.dtype == np.float32 and values.shape == (6,)
        np.testing.assert_allclose(values, loss(*exact, LABELS, 4.0), rtol=1e-6)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("bad", [-1, 7])
def test_a_traced_label_out_of_range_gives_nan_in_its_row_alone(name, bad):
    labels = LABELS.copy()
    labels[1] = bad

    def total(s, y):
        values = LABELLED[name](s, TEACHER, y, 4.0)
        return values.sum(), values

    gradient, values = jax.jit(jax.grad(total, has_aux=True))(STUDENT, labels)
    assert np.isnan(values).tolist() == [False, True] + [False] * 4
    assert np.isnan(gradient).all(-1).tolist() == [False, True] + [False] * 4


@pytest.mark.errors
def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"decoupled_target: labels\[0\] is 7"):
        losses.decoupled_target(STUDENT, TEACHER, LABELS + 7, 4.0)
    with pytest.raises(TypeError, match="decoupled_nontarget: labels has dtype float"):
        losses.decoupled_nontarget(STUDENT, TEACHER, np.float32(LABELS), 4.0)
    with pytest.raises(ValueError, match="normalised_target: labels has batch=2"):
        losses.normalised_target(STUDENT, TEACHER, LABELS[:2])
    with pytest.raises(ValueError, match="temperature is 0"):
        losses.normalised_nontarget(STUDENT, TEACHER, LABELS, 0.0)
    with pytest.raises(ValueError, match="2 or more"):
        losses.decoupled_target(STUDENT[:, :1], TEACHER[:, :1], LABELS * 0, 4.0)
    for k in (0, 7):
        with pytest.raises(ValueError, match=f"k is {k}; expected 1 to 6"):
            losses.generalised_decoupled(STUDENT, TEACHER, 4.0, k)
