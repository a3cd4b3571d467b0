"""Targets, mixing and losses as loops over samples, and the warm-up."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.methods import METHODS, dividemix
from kdjax.types import Batch, LossInputs, Outputs
from tests import reference

quick = settings(max_examples=20, deadline=None, derandomize=True)
BATCH, CLASSES = 5, 3
ROWS = 2 * BATCH
FACTS = {"num_classes": CLASSES, "steps_per_epoch": 10.0, "warmup_epochs": 2.0}
METHOD = METHODS["dividemix"].build(**FACTS)
AFTER = 20  # the first step that is not warm-up


@functools.cache
def problem(seed):
    """Images that are rows of the identity, so that a mixed one says what is in it."""
    draw = np.random.default_rng(seed)
    eye = np.eye(ROWS, dtype=np.float32).reshape(ROWS, 1, 1, ROWS)
    label = jnp.asarray(draw.integers(0, CLASSES, BATCH), jnp.int32)
    index = jnp.arange(BATCH, dtype=jnp.int32)
    batch = Batch(eye[:BATCH], label, index, 0 * index, {}, second=eye[BATCH:])
    clean = draw.random((BATCH, 2)) * (draw.random((BATCH, 2)) < 0.6)
    matrix = jnp.asarray(3 * draw.normal(size=(ROWS, 2, CLASSES)), jnp.float32)
    return matrix, batch, {"clean": jnp.asarray(clean, jnp.float32)}


def predict(images, matrix):
    """Two linear networks."""
    members = jnp.einsum("bhwi,ink->bnk", images, matrix)
    return Outputs(members.mean(1), {}, members)


@functools.cache
def compiled(temperature):
    method = dividemix.build(temperature=temperature, **FACTS)

    def prepare(matrix, batch, sample_info, step):
        return method.mixture.prepare(
            lambda x: predict(x, matrix), batch, sample_info, step
        )

    return jax.jit(prepare)


def prepared(seed, step, temperature=0.5):
    images, mixed = compiled(temperature)(*problem(seed), jnp.int32(step))
    return [np.asarray(i).reshape(ROWS, ROWS) for i in images], jax.tree.map(
        np.asarray, mixed
    )


def exact_targets(seed, temperature=0.5):
    """t_in as printed: refinement of the labelled, guessing of the others."""
    matrix, batch, sample_info = problem(seed)
    crops = batch.image, batch.second
    predictions = [np.asarray(predict(x, matrix).member_logits) for x in crops]
    exact = np.zeros((BATCH, 2, CLASSES))
    for i in range(BATCH):
        own = [
            np.mean([reference.softmax(s[i])[n] for s in predictions], axis=0)
            for n in (0, 1)
        ]
        for n in (0, 1):
            w, hot = float(sample_info["clean"][i, n]), np.eye(CLASSES)[batch.label[i]]
            mean = w * hot + (1 - w) * own[n] if w > 0 else (own[0] + own[1]) / 2
            sharp = mean ** (1 / temperature)
            exact[i, n] = sharp / sharp.sum()
    return exact


@pytest.mark.parametrize("temperature", [0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_images_and_targets_are_mixed_alike(seed, temperature):
    images, mixed = prepared(seed, AFTER, temperature)
    exact = exact_targets(seed, temperature)
    clean = np.asarray(problem(seed)[2]["clean"])
    for n in (0, 1):
        both = np.concatenate([exact[:, n], exact[:, n]])
        # The image of row i says how much of which row is in it.
        np.testing.assert_allclose(mixed["target"][:, n], images[n] @ both, atol=1e-5)
        labelled = np.concatenate([clean[:, n] > 0] * 2)
        np.testing.assert_array_equal(mixed["labelled"][:, n], labelled)
    np.testing.assert_allclose(mixed["target"].sum(-1), 1, atol=1e-5)
    assert 0 < mixed["labelled"].mean() < 1  # else half of it is not tested


def shares(seed, step):
    """What mixing did: each network's share of a row's own, and the partners."""
    own, partners = [], []
    for image in prepared(seed, step)[0]:
        np.testing.assert_allclose(image.sum(-1), 1, atol=1e-6)
        np.testing.assert_allclose(
            image.sum(0), 1, atol=1e-6
        )  # each row is one's other
        rest = image * (1 - np.eye(ROWS))
        alone = rest.sum(-1) == 0  # a row that drew itself
        share = np.diag(image)[~alone]
        assert np.ptp(share) < 1e-6 and share[0] >= 0.5
        own.append(share[0])
        partners.append(np.where(alone, np.arange(ROWS), rest.argmax(-1)))
        assert sorted(partners[-1]) == list(range(ROWS))
    return own, partners


def test_every_step_and_network_draws_its_own_mixture_and_draws_it_again():
    (a, b), (first, second) = shares(0, AFTER)
    assert a != b and not np.array_equal(first, second)
    (c, _), (other, _) = shares(0, AFTER + 1)
    assert a != c and not np.array_equal(first, other)
    (again, _), (same, _) = shares(1, AFTER)  # the draw is of the step, not the data
    assert again == pytest.approx(a, rel=1e-6)
    np.testing.assert_array_equal(first, same)


def test_the_larger_share_is_a_folded_beta():
    """Mean and variance of max(l, 1 - l), l ~ Beta(4, 4), by the density."""
    steps = range(AFTER, AFTER + 300)
    drawn = np.array([image.max() for i in steps for image in prepared(0, i)[0]])
    drawn = drawn[drawn < 1 - 1e-6]  # 1: a row drew itself, and its share is not seen
    grid = np.linspace(0, 1, 20001)
    density = grid**3 * (1 - grid) ** 3
    folded, density = np.maximum(grid, 1 - grid), density / density.sum()
    mean = (folded * density).sum()
    spread = np.sqrt((folded**2 * density).sum() - mean**2)
    assert len(drawn) > 150
    np.testing.assert_allclose(drawn.mean(), mean, atol=4 * spread / len(drawn) ** 0.5)
    np.testing.assert_allclose(drawn.std(), spread, rtol=0.1)


@pytest.mark.parametrize("step", [0, AFTER - 1])
def test_the_warm_up_trains_on_both_crops_and_the_labels_as_they_are(step):
    images, mixed = prepared(0, step)
    hot = reference.one_hot(problem(0)[1].label, CLASSES)
    for n in (0, 1):
        np.testing.assert_array_equal(images[n], np.eye(ROWS))
        target = np.concatenate([hot, hot])
        np.testing.assert_array_equal(mixed["target"][:, n], target)
    assert (mixed["labelled"] == 1).all()


def looked_at(seed, step, logits=None):
    _, batch, _ = problem(seed)
    _, mixed = prepared(seed, step)
    draw = np.random.default_rng(seed + 100)
    if logits is None:
        logits = np.float32(2 * draw.normal(size=(ROWS, 2, CLASSES)))
    student_outputs = Outputs(jnp.mean(logits, 1), {}, logits)
    return LossInputs(
        student_outputs, None, batch.label, None, step=jnp.int32(step), mixed=mixed
    )


def total(method, inputs):
    """The objective."""
    result = 0.0
    for term in method.terms:
        weight = term.coefficient
        weight = weight(inputs.step) if callable(weight) else weight
        result += weight * jnp.mean(term.values(inputs))
    return result


jit_total = jax.jit(lambda inputs: total(METHOD, inputs))


def exact_objective(inputs, unlabelled_weight):
    """Lx + weight Lu + KL(uniform || mean prediction) of both networks."""
    result = 0.0
    for n in (0, 1):
        logits = np.asarray(inputs.student.member_logits)[:, n]
        target, p = inputs.mixed["target"][:, n], reference.softmax(logits)
        labelled = inputs.mixed["labelled"][:, n] > 0
        x = [
            reference.cross_entropy(logits, target)[i] for i in np.flatnonzero(labelled)
        ]
        u = [np.mean((p[i] - target[i]) ** 2) for i in np.flatnonzero(~labelled)]
        mean = p.mean(0)
        result += np.mean(x) if x else 0.0
        result += unlabelled_weight * np.mean(u) if u else 0.0
        result += sum(np.log(1 / CLASSES / m) / CLASSES for m in mean)
    return result


@pytest.mark.parametrize(
    "epochs, climbed", [(0, 0), (4, 0.25), (16, 1), (40, 1), (0.1, 0.1 / 16)]
)
def test_the_objective_is_the_equation_and_the_weight_climbs(epochs, climbed):
    inputs = looked_at(1, AFTER + round(10 * epochs))
    expected = exact_objective(inputs, 25 * climbed)
    np.testing.assert_allclose(total(METHOD, inputs), expected, rtol=1e-5)


@pytest.mark.parametrize("labelled", [0, 1])
def test_a_batch_of_one_kind_has_no_loss_of_the_other(labelled):
    inputs = looked_at(1, AFTER + 80)
    all_one = np.full_like(inputs.mixed["labelled"], labelled)
    inputs = inputs._replace(mixed=inputs.mixed | {"labelled": all_one})
    expected = exact_objective(inputs, 12.5)
    np.testing.assert_allclose(total(METHOD, inputs), expected, rtol=1e-5)


@pytest.mark.parametrize("penalty", [False, True])
def test_the_warm_up_is_cross_entropy_less_entropy_where_asked(penalty):
    method = dividemix.build(entropy_penalty=penalty, **FACTS)
    inputs = looked_at(2, AFTER - 1)
    hot = reference.one_hot(inputs.labels, CLASSES)
    expected = 0.0
    for n in (0, 1):
        logits = inputs.student.member_logits[:, n]
        p = reference.softmax(logits)
        expected += reference.cross_entropy(logits, np.concatenate([hot, hot])).mean()
        expected += penalty * (p * np.log(p)).sum(-1).mean()
    np.testing.assert_allclose(total(method, inputs), expected, rtol=1e-5)
    after = looked_at(2, AFTER)
    assert float(total(method, after)) == float(total(METHOD, after))


@quick
@given(st.permutations(range(ROWS)), st.integers(0, 5))
def test_the_order_of_the_rows_does_not_matter(order, seed):
    inputs, order = looked_at(seed, AFTER + 80), np.array(order)
    members = inputs.student.member_logits[order]
    shuffled = inputs._replace(
        student=Outputs(members.mean(1), {}, members),
        mixed={name: rows[order] for name, rows in inputs.mixed.items()},
    )
    one, other = jit_total(inputs), jit_total(shuffled)
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("step", [0, AFTER + 80])
def test_finite_at_extremes_and_each_networks_gradient_is_its_own(step):
    method = dividemix.build(entropy_penalty=True, **FACTS)
    rest = looked_at(0, step)

    @jax.jit
    @jax.value_and_grad
    def gradient(members, mixed):
        student_outputs = Outputs(members.mean(1), {}, members)
        return total(method, rest._replace(student=student_outputs, mixed=mixed))

    members, mixed = jnp.asarray(rest.student.member_logits), rest.mixed
    value, extreme = gradient(1e5 * jnp.sign(members), mixed)
    assert np.isfinite(value) and np.isfinite(extreme).all()
    _, whole = gradient(members, mixed)
    for own, other in ((0, 1), (1, 0)):
        strange = {k: v.copy() for k, v in mixed.items()}
        strange["target"][:, other] = 1 / CLASSES
        strange["labelled"][:, other] = 1 - mixed["labelled"][:, other]
        _, slope = gradient(members.at[:, other].multiply(-2), strange)
        np.testing.assert_allclose(slope[:, own], whole[:, own], rtol=1e-6)
        assert (np.abs(slope - whole)[:, other] > 1e-4).any()


@pytest.mark.errors
@pytest.mark.parametrize("shape", [(BATCH, 3), (BATCH,), (BATCH + 1, 2)])
def test_a_note_of_another_shape_is_refused(shape):
    matrix, batch, _ = problem(0)
    with pytest.raises(ValueError, match="dividemix: clean has"):
        compiled(0.5)(matrix, batch, {"clean": jnp.ones(shape)}, jnp.int32(0))


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, number",
    [
        ("temperature", 0),
        ("mixup", -4),
        ("ramp_epochs", 0),
        ("warmup_epochs", -1),
        ("unlabelled_weight", float("inf")),
    ],
)
def test_a_number_out_of_range_is_refused(name, number):
    with pytest.raises(ValueError, match=f"dividemix: {name} is"):
        dividemix.build(**FACTS | {name: number})
