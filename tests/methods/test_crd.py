"""CRD's objective and banks against loops, over two steps; and where the banks lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, crd
from kdjax.types import MemoryInputs
from tests import reference
from tests.methods import given
from tests.methods.field import method_of, problem_of

SAMPLES, BATCH, WIDTH, NEGATIVES, TAU = 40, 4, 6, 30, 0.07
ALL_LABELS = np.arange(SAMPLES, dtype=np.int32) % given.CLASSES
OTHER = {"student": "teacher", "teacher": "student"}


def build(**more):
    defaults = {"negatives": NEGATIVES, "width": WIDTH, "num_classes": given.CLASSES}
    return METHODS["crd"].build(train_labels=ALL_LABELS, **defaults | more)


def batch(seed):
    rng = np.random.default_rng(seed)
    index = rng.permutation(SAMPLES)[:BATCH].astype(np.int32)
    embedded = {}
    for side in OTHER:
        x = rng.normal(size=(BATCH, WIDTH))
        embedded[side] = np.float32(x / np.linalg.norm(x, axis=1, keepdims=True))
    return index, ALL_LABELS[index], embedded


def update(method, state, seed):
    index, labels, embedded = batch(seed)
    inputs = MemoryInputs(
        *(None, None, jnp.asarray(labels), jnp.asarray(index), jnp.int32(0)),
        {"embeddings": embedded},
        jax.random.key(seed),
    )
    return method.memory.update(state, inputs)


def scores(anchor, bank, positive, negatives):
    """exp(<a, m> / tau) of [the positive, the negatives] of one sample."""
    rows = bank[[positive, *negatives]].astype(np.float64)
    return np.exp(rows @ anchor.astype(np.float64) / TAU)


def contrast(anchors, bank, rows, normaliser):
    """(published loss, Z of this batch)."""
    c, total, every = NEGATIVES / SAMPLES, 0.0, []
    rows = list(zip(rows["positives"], rows["negatives"], strict=True))
    for anchor, (positive, negatives) in zip(anchors, rows, strict=True):
        every.append(scores(anchor, bank, positive, negatives))
    z = np.mean(every) * SAMPLES if normaliser is None else normaliser
    for h in every:
        h = h / z
        total -= np.log(h[0] / (h[0] + c + 1e-7))
        total -= np.sum(np.log(c / (h[1:] + c + 1e-7)))
    return total / len(anchors), z


@pytest.mark.parametrize("mode", crd.MODES)
def test_the_objective_over_two_steps(mode):
    method = build(mode=mode, weight=0.5)
    state, normaliser = method.memory.init(), dict.fromkeys(OTHER)
    for seed in (1, 2):
        old = jax.device_get(state)
        index, labels, embedded = batch(seed)
        remembered, state = update(method, state, seed)
        student = given.outputs(np.random.default_rng(seed), BATCH)
        values = given.terms(
            method,
            given.loss_inputs(
                *(method, student, None, labels),
                connected={"embeddings": embedded},
                remembered=remembered,
            ),
        )
        rows = {
            name: np.asarray(remembered[name]) for name in ("positives", "negatives")
        }
        hot = reference.one_hot(labels, given.CLASSES)
        expected = {"hard_label": reference.cross_entropy(student.logits, hot).mean()}
        for side, other in OTHER.items():
            bank = old[f"{other}_bank"]
            loss, z = contrast(embedded[side], bank, rows, normaliser[side])
            normaliser[side], expected[f"{side}_contrast"] = z, 0.5 * loss
        assert values == pytest.approx(expected, rel=1e-5)
        for side in OTHER:
            bank = old[f"{side}_bank"].copy()
            for i, e in zip(index, embedded[side], strict=True):
                u = 0.5 * bank[i] + 0.5 * e
                bank[i] = u / np.linalg.norm(u)
            np.testing.assert_allclose(
                state[f"{side}_bank"], bank, rtol=1e-6, atol=1e-7
            )


def test_which_rows_are_compared():
    for mode in crd.MODES:
        method = build(mode=mode, negatives=400)
        remembered, _ = update(method, method.memory.init(), 3)
        index, labels, _ = batch(3)
        positives, negatives = remembered["positives"], remembered["negatives"]
        np.testing.assert_array_equal(ALL_LABELS[positives], labels)
        assert (mode == "exact") == (np.asarray(positives) == index).all()
        for row, label in zip(np.asarray(negatives), labels, strict=True):
            others = {i for i in range(SAMPLES) if ALL_LABELS[i] != label}
            assert set(row.tolist()) == others


def test_the_first_rows_and_another_step():
    method = build(width=12)
    state = method.memory.init()
    bank = np.asarray(state["student_bank"])
    assert bank.shape == (crd.ROWS, 12) and 0.49 < np.abs(bank).max() < 0.5
    assert not np.array_equal(bank, state["teacher_bank"])
    method = build()
    first, _ = update(method, method.memory.init(), 4)
    again, _ = update(method, method.memory.init(), 4)
    other, _ = update(method, method.memory.init(), 5)
    np.testing.assert_array_equal(first["negatives"], again["negatives"])
    assert not np.array_equal(first["negatives"], other["negatives"])


def test_the_banks_are_divided_over_the_devices():
    """Also after a step, and the parameters of both embeddings are trained."""
    problem = problem_of(method_of("crd"), devices=8)
    first = problem.initialise()
    before = jax.device_get(first["student"].connectors["embeddings"]["params"])
    states, metrics = problem.run(first, 0, 1)
    memory = states["student"].supervision_state["memory"]
    for side in OTHER:
        shards = memory[f"{side}_bank"].addressable_shards
        assert {shard.data.shape for shard in shards} == {(crd.ROWS // 8, 16)}
        assert memory[f"{side}_normaliser"] > 0
        new = states["student"].connectors["embeddings"]["params"][side]["kernel"]
        assert not np.array_equal(before[side]["kernel"], new)
    assert np.isfinite(metrics["student"]["loss"])


def test_what_it_declares():
    method = build(feature="pooled")
    assert method.needs_teacher and method.reads == {"label", "index"}
    assert method.student_features == method.teacher_features == ("pooled",)
    assert method.memory.sharded and not method.why_not_cached


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("weight", 0.0), ("negatives", 0), ("mode", "exactly"), ("width", 0)),
        *(("temperature", 0.0), ("momentum", 2.0), ("num_classes", 3)),
    ],
)
def test_what_is_refused(name, value):
    with pytest.raises(ValueError, match="label" if name == "num_classes" else name):
        build(**{name: value})


def test_negatives_need_another_class():
    with pytest.raises(ValueError, match="two classes"):
        crd.build(train_labels=np.zeros(9, np.int32), num_classes=2)
