"""Evaluation metrics as sums: padding is masked, so each sample counts once."""

import collections
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from kdjax.losses.logits import cross_entropy, kl_divergence
from kdjax.training.update import REASONS
from kdjax.types import PyTree

DISTANCES = ("logit_distance", "half_mean_square", "delta_infinity")
IN_FLIGHT = 4  # batches whose images are on the devices at once
BINS = 15  # of the calibration error; Guo et al. 2017 (arXiv:1706.04599), section 5


def sums(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    valid: Bool[Array, " batch"],
    teacher_logits: Float[Array, "batch classes"] | None = None,
) -> dict[str, Array]:
    """Adds up what `finish` turns into metrics; padding (valid = False) counts nothing.

    Labels are 0 to classes - 1; anything where `valid` is False. `teacher_logits` add
    agreement, KL(teacher || student) and the distance of the logits with its parts.
    """
    logits = logits.astype(jnp.float32)
    keep = valid.astype(jnp.float32)
    prediction = jnp.argmax(logits, -1)
    # Of NaN argmax is a class like any other, and no class stands before the label.
    finite = jnp.all(jnp.isfinite(logits), -1)
    correct = ((prediction == labels) & finite).astype(jnp.float32)
    among = _among_first(logits, labels, 5) & finite
    # 0 times NaN is NaN: a network may make that of padding, which is black.
    confidence = jnp.where(valid, jnp.max(jax.nn.softmax(logits), -1), 0.0)
    bin_of = jnp.clip(jnp.ceil(confidence * BINS).astype(jnp.int32) - 1, 0, BINS - 1)
    in_bin = jax.nn.one_hot(bin_of, BINS) * keep[:, None]
    total = {
        "count": jnp.sum(keep),
        "top1": jnp.sum(correct * keep),
        "top5": jnp.sum(among.astype(jnp.float32) * keep),
        "loss": jnp.sum(jnp.where(valid, cross_entropy(logits, labels), 0.0)),
        "bin_confidence": jnp.sum(in_bin * confidence[:, None], 0),
        "bin_correct": jnp.sum(in_bin * correct[:, None], 0),
    }
    if teacher_logits is not None:
        finite &= jnp.all(jnp.isfinite(teacher_logits), -1)
        same = (prediction == jnp.argmax(teacher_logits, -1)) & finite
        kl = kl_divergence(logits, teacher_logits, 1.0)
        total["agreement"] = jnp.sum(same.astype(jnp.float32) * keep)
        total["teacher_kl"] = jnp.sum(jnp.where(valid, kl, 0.0))
        for name, values in _distances(logits, teacher_logits).items():
            total[name] = jnp.sum(jnp.where(valid, values, 0.0))
    return total


def _distances(logits: Array, teacher_logits: Array) -> dict[str, Array]:
    """How far the logits are, d = s - t, and its parts by arXiv:2105.08919.

    logit_matching, the limit of tau^2 KL, is half_mean_square + delta_infinity.
    """
    d = logits - teacher_logits.astype(jnp.float32)
    classes = d.shape[-1]
    return {
        "logit_distance": jnp.sqrt(jnp.sum(d**2, -1)),
        "half_mean_square": jnp.mean(d**2, -1) / 2,
        "delta_infinity": -(jnp.sum(d, -1) ** 2) / (2 * classes**2),
    }


def _among_first(logits, labels, k):
    """Where fewer than k classes stand before the label; ties by index."""
    own = jnp.take_along_axis(logits, labels[:, None], -1)
    index = jnp.arange(logits.shape[-1])[None, :]
    before = (logits > own) | ((logits == own) & (index < labels[:, None]))
    return jnp.sum(before, -1) < k


def finish(total: dict[str, np.ndarray]) -> dict[str, float]:
    """Turns added-up sums into metrics.

    count; top1, top5, agreement, ece in percent; loss and teacher_kl in nats;
    logit_distance in logits, half_mean_square and delta_infinity in their square.
    """
    total = {name: np.asarray(value, np.float64) for name, value in total.items()}
    count = float(total["count"])
    if not count:
        raise ValueError("evaluate: no valid sample; expected at least one.")
    gap = np.abs(total["bin_confidence"] - total["bin_correct"]).sum()
    metrics = {"count": count, "loss": float(total["loss"]) / count}
    metrics["ece"] = 100.0 * float(gap) / count
    for name in ("top1", "top5", "agreement"):
        if name in total:
            metrics[name] = 100.0 * float(total[name]) / count
    for name in ("teacher_kl", *DISTANCES):
        if name in total:
            metrics[name] = float(total[name]) / count
    return metrics


def in_flight(results: Iterable[PyTree], most: int = IN_FLIGHT) -> Iterator[PyTree]:
    """Yields arrays of the devices once they are computed, with the next ones started.

    So a device has work while the host gets the next batch ready, and holds the images
    of `most` batches, not of all.
    """
    running = collections.deque()
    for result in results:
        running.append(result)
        if len(running) == most:
            yield jax.block_until_ready(running.popleft())
    yield from map(jax.block_until_ready, running)


def evaluate(step: Callable, variables: PyTree, batches: Iterable) -> dict[str, dict]:
    """Runs a compiled evaluate step over all batches and finishes every student.

    Sums stay on the devices until the last batch is computed. They are added in float64
    on the host: counts are exact, whatever the number of batches.
    """
    parts = jax.device_get(list(in_flight(step(variables, b) for b in batches)))
    if not parts:
        raise ValueError("evaluate: the split is empty; expected at least one sample.")

    def add(*sums):
        return np.sum(np.asarray(sums, np.float64), 0)

    return {name: finish(value) for name, value in jax.tree.map(add, *parts).items()}


def to_json(steps: list[tuple[int, dict]]) -> dict:
    """Metrics of (how many steps, {network: {metric: [steps]}}) parts, in their types.

    >>> to_json([(2, {"s": {"loss": np.array([0.5, np.nan, 0.0], np.float32)}})])
    {'s': {'loss': ['float32', 0.5, 'nan']}}
    """
    result: dict[str, dict[str, list]] = {}
    for count, metrics in steps:
        for name, row in metrics.items():
            for key, value in row.items():
                array = np.atleast_1d(value)[:count]
                kept = result.setdefault(name, {}).setdefault(key, [array.dtype.name])
                # JSON has no NaN, and `float` reads the text of one.
                kept += [x if math.isfinite(x) else str(x) for x in array.tolist()]
    return result


def from_json(record: dict) -> list[tuple[int, dict]]:
    """What `to_json` was given, as one part; empty where there was none.

    Empty too where some steps had other metrics than the rest, as after another method.

    >>> from_json({"s": {"loss": ["float32", 0.5, "nan"]}})
    [(2, {'s': {'loss': array([0.5, nan], dtype=float32)}})]
    """
    metrics = {
        name: {k: np.array(v, float).astype(dtype) for k, (dtype, *v) in row.items()}
        for name, row in record.items()
    }
    counts = {len(array) for row in metrics.values() for array in row.values()}
    return [(counts.pop(), metrics)] if len(counts) == 1 else []


def average(window: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Means of each student's metrics over the steps that were not skipped.

    Of the metrics that all steps have: those of another method may be among them.
    """
    result = {}
    for name in window[0]:
        rows = [metrics[name] for metrics in window]
        good = [row for row in rows if not row["skipped"]]
        means = {
            key: float(np.mean([row[key] for row in good])) if good else math.nan
            for key in rows[0]
            if all(key in row for row in rows)
        }
        means["skipped"] = float(len(rows) - len(good))
        for row in rows:
            if row["skipped"]:
                key = f"skipped/{REASONS[int(row['skipped'])]}"
                means[key] = means.get(key, 0.0) + 1.0
        result[name] = means
    return result
