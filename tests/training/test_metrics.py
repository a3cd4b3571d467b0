"""Evaluation against NumPy, and the ways in which it could count wrongly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.training import metrics
from kdjax.training.metrics import IN_FLIGHT, evaluate, finish, in_flight, sums
from tests.reference import (
    GOLDEN_LABELS,
    GOLDEN_LOGIT_MATCHING,
    GOLDEN_STUDENT,
    GOLDEN_TEACHER,
)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def reference(logits, labels, teacher):
    """Straight from the definitions, in float64, one sample at a time."""
    p, t = softmax(logits), softmax(teacher)
    n = len(labels)
    order = np.argsort(-logits, axis=-1, kind="stable")
    right = order[:, 0] == labels
    confidence = p.max(-1)
    ece = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            ece += inside.mean() * gap
    return {
        "count": n,
        "top1": 100 * right.mean(),
        "top5": 100
        * np.mean([y in row[:5] for y, row in zip(labels, order, strict=True)]),
        "loss": -np.mean(np.log(p[np.arange(n), labels])),
        "ece": 100 * ece,
        "agreement": 100 * np.mean(order[:, 0] == teacher.argmax(-1)),
        "teacher_kl": np.mean((t * (np.log(t) - np.log(p))).sum(-1)),
        "logit_distance": np.mean(np.linalg.norm(logits - teacher, axis=-1)),
        "half_mean_square": np.mean((logits - teacher) ** 2) / 2,
        "delta_infinity": -np.mean((logits - teacher).sum(-1) ** 2) / (2 * 9**2),
    }


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(37, 9)).astype(np.float32) * 3
    teacher = logits + rng.normal(size=(37, 9)).astype(np.float32)
    return logits, rng.integers(0, 9, 37).astype(np.int32), teacher


def test_every_metric_equals_its_definition(scores):
    found = finish(sums(*scores[:2], jnp.ones(37, bool), scores[2]))
    wanted = reference(*(np.asarray(x, np.float64) for x in scores[:1]), *scores[1:])
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize("rows", (1, 8, 37, 50))
def test_padding_and_batch_size_change_nothing(scores, rows):
    logits, labels, teacher = scores

    def batches():
        for start in range(0, 37, rows):
            part = [x[start : start + rows] for x in scores]
            missing = rows - len(part[0])
            # Padding full of nonsense: only the mask may keep it out.
            yield {
                "logits": np.pad(part[0], [(0, missing), (0, 0)], constant_values=1e30),
                "label": np.pad(part[1], (0, missing)),
                "teacher": np.pad(part[2], [(0, missing), (0, 0)]),
                "valid": np.arange(rows) < len(part[0]),
            }

    @jax.jit
    def step(_, batch):
        return {
            "s": sums(batch["logits"], batch["label"], batch["valid"], batch["teacher"])
        }

    whole = finish(sums(logits, labels, jnp.ones(37, bool), teacher))
    parts = evaluate(step, None, batches())["s"]
    assert parts["count"] == 37
    for name in whole:
        assert parts[name] == pytest.approx(whole[name], rel=1e-5), name


def test_batches_are_begun_before_earlier_ones_are_waited_for(monkeypatch):
    begun, waited = [], []
    monkeypatch.setattr(metrics.jax, "block_until_ready", lambda x: waited.append(x))

    def results():
        for number in range(10):
            begun.append(number)
            # Never more than so many on the devices, and never fewer while there are.
            assert len(begun) - len(waited) == min(number + 1, IN_FLIGHT)
            yield number

    list(in_flight(results()))
    assert waited == begun == list(range(10))


def test_an_evaluation_reads_from_the_devices_once(monkeypatch):
    steps, reads, read = [], [], jax.device_get

    def get(tree):
        reads.append(len(steps))
        return read(tree)

    def step(_, batch):
        steps.append(batch)
        kept = jnp.arange(4) < batch
        return {"s": sums(jnp.eye(4), jnp.array([0, 1, 2, 0]), kept)}

    monkeypatch.setattr(metrics.jax, "device_get", get)
    row = evaluate(step, None, (4, 4, 4, 4, 3))["s"]
    assert reads == [5]
    assert (row["count"], row["top1"]) == (19, 100 * 15 / 19)


@pytest.mark.parametrize("place", [slice(None), 2])
def test_a_network_that_returns_nan_is_never_right(place):
    """Also where its class 0, or the class of the NaN, is the label, or the teacher's.

    argmax is the first NaN, and none compares as larger than the label's.
    """
    logits = jnp.zeros((4, 10)).at[:, place].set(jnp.nan)
    found = sums(logits, jnp.arange(4), jnp.ones(4, bool), jnp.eye(4, 10))
    right = {name: float(found[name]) for name in ("top1", "top5", "agreement")}
    assert right == {"top1": 0, "top5": 0, "agreement": 0}
    assert not found["bin_correct"].any()
    assert np.isnan(found["loss"])


@pytest.mark.parametrize("place", [slice(None), 2])
def test_nobody_agrees_with_a_teacher_that_returns_nan(place):
    logits = jnp.eye(4, 10)
    teacher = logits.at[:, place].set(jnp.nan)
    found = sums(logits, jnp.arange(4), jnp.ones(4, bool), teacher)
    assert float(found["agreement"]) == 0 and float(found["top1"]) == 4


def test_ties_go_to_the_lower_class():
    logits = jnp.zeros((2, 10))
    found = sums(logits, jnp.array([0, 5]), jnp.ones(2, bool))
    assert (float(found["top1"]), float(found["top5"])) == (1, 1)


@pytest.mark.errors
def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="split is empty"):
        evaluate(lambda *_: None, None, [])


def test_the_distance_to_the_teacher_and_its_parts_are_the_papers():
    """The worked example: half mean squares, delta infinity, and their sum."""
    student_outputs = (GOLDEN_STUDENT, GOLDEN_LABELS, np.array([True, True, True]))
    found = finish(jax.device_get(sums(*student_outputs, GOLDEN_TEACHER)))
    half, delta = found["half_mean_square"], found["delta_infinity"]
    assert half == pytest.approx(np.mean([0.96125, 0.30000, 0.49625]), rel=1e-5)
    assert delta == pytest.approx(np.mean([-0.0153125, -0.005, -0.0153125]), rel=1e-5)
    assert half + delta == pytest.approx(np.mean(GOLDEN_LOGIT_MATCHING), rel=1e-5)
    distance = np.mean(np.sqrt([7.69, 2.40, 3.97]))
    assert found["logit_distance"] == pytest.approx(distance, rel=1e-5)


def test_steps_of_another_method_are_no_part_of_a_mean():
    old = {"s": {"loss": 1.0, "kl": 2.0, "skipped": 0.0}}
    new = {"s": {"loss": 3.0, "mse": 4.0, "skipped": 0.0}}
    assert metrics.average([old, new])["s"] == {"loss": 2.0, "skipped": 0.0}
    assert metrics.from_json(metrics.to_json([(1, old), (1, new)])) == []
    assert len(metrics.from_json(metrics.to_json([(1, old), (1, old)]))) == 1


def test_padding_counts_nothing_whatever_a_network_makes_of_it():
    """Such as the NaN of a network that divides by the deviation of a black image."""
    logits = jnp.eye(4, 10)
    kept = jnp.array([True, True, True, False])
    labels, teacher = jnp.array([0, 1, 5, 0]), 2 * logits
    torn = logits.at[3].set(jnp.nan), labels, kept, teacher.at[3].set(jnp.nan)
    rows = [
        metrics.finish(sums(*one)) for one in ((logits, labels, kept, teacher), torn)
    ]
    assert rows[0] == rows[1] and rows[0]["count"] == 3
