"""Contrast with memories: CRD's noise-contrastive loss, and the queue's divergence.

The memories themselves, and the drawing of negatives: `kdjax.losses.banks`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from kdjax import contracts
from kdjax.losses.logits import kl_divergence
from kdjax.losses.numerics import (
    LOWEST,
    AnyArray,
    PerSample,
    Scalar,
    as_float32,
    as_int32,
    as_number,
)
from kdjax.losses.subset import Samples, subset, unit

Bank = Float[AnyArray, "samples channels"]
Embedding = Float[AnyArray, "batch channels"]

_EXACT = jax.lax.Precision.HIGHEST


def noise_contrastive(
    anchor: Embedding,
    bank: Bank,
    index: Integer[AnyArray, " batch"],
    negatives: Integer[AnyArray, "batch k"],
    normaliser: Scalar,
    temperature: Scalar = 0.07,
    eps: Scalar = 1e-7,
) -> PerSample:
    """Contrastive representation distillation (CRD): one side's anchors, other's bank.

        h(m) = exp(<a_i, m> / tau) / Z,   c = k / samples
        v_i = - log(h(m_pos) / (h(m_pos) + c + eps)) - sum_neg log(c / (h + c + eps))

    Y. Tian et al., ICLR 2020 (arXiv:1910.10699), equation 18, with the eps of its
    public code. CRD adds this loss of student anchors with the teacher's bank and that
    of teacher anchors with the student's bank, both before their update; published with
    128 channels, k = 16384 and weight 0.8.

    Scores are of the whole bank, [batch, samples], from one matrix product, and a
    negative counts as often as it was drawn: no [batch, k, channels] is held, and the
    gradient has no floating-point scatter. >= 0 up to k * eps / c.

    Args:
      anchor: [batch, channels], of unit length.
      bank: the other network's embeddings of all samples of the training split.
      index: row of each anchor's positive; a row out of range, such as padding, has
        loss 0 and gradient 0.
      negatives: rows of the bank, with repetition; see `draw_negatives`.
      normaliser: Z, see `contrastive_normaliser`; a constant to the gradient.
      temperature: > 0, finite.
      eps: >= 0.

    >>> import numpy as np
    >>> anchor, bank = np.float32([[1, 0]]), np.float32([[1, 0], [0, 1], [-1, 0]])
    >>> index, negatives = np.array([0]), np.array([[1, 2]])
    >>> loss = noise_contrastive(anchor, bank, index, negatives, 3.0, temperature=1.0)
    >>> print(loss.round(4))
    [1.1258]
    """
    where = "noise_contrastive"
    named = _check(where, anchor, bank, index, negatives, temperature)
    contracts.not_negative(where, "eps", eps)
    contracts.number(where, "normaliser", normaliser)
    size = named["samples"]
    c = named["k"] / size
    # log h - log(c + eps) of every row: log(h / (h + c + eps)) = -softplus(-log_odds).
    log_z = _log_normaliser(normaliser)
    temperature, eps = as_number(temperature), as_number(eps)
    log_odds = _scores(anchor, bank) / temperature - log_z - jnp.log(c + eps)
    valid, row = _in_range(index, size)
    positive = jnp.take_along_axis(log_odds, row[:, None], axis=1)[:, 0]
    each = jax.nn.softplus(log_odds) + jnp.log1p(eps / c)
    loss = jax.nn.softplus(-positive) + jnp.sum(_counts(negatives, size) * each, axis=1)
    return jnp.where(valid, loss, 0.0)


def contrastive_normaliser(
    anchor: Embedding,
    bank: Bank,
    index: Integer[AnyArray, " batch"],
    negatives: Integer[AnyArray, "batch k"],
    temperature: Scalar = 0.07,
    where: Samples = None,
) -> Float[Array, ""]:
    """CRD's constant Z, to be computed on the first batch and kept.

        Z = samples * mean over batch and [positive, negatives] of exp(<a_i, m> / tau)

    No gradient flows through it. As in the public code of CRD (arXiv:1910.10699). Where
    nothing counts it is 0, which a caller can take for "not yet known".

    Args:
      anchor, bank, index, negatives, temperature: as in `noise_contrastive`; rows whose
        index is out of range do not count.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> anchor, bank = np.float32([[1, 0]]), np.float32([[1, 0], [0, 1], [-1, 0]])
    >>> index, negatives = np.array([0]), np.array([[1, 2]])
    >>> z = contrastive_normaliser(anchor, bank, index, negatives, temperature=1.0)
    >>> print(f"{z:.4f}")
    4.0862
    """
    name = "contrastive_normaliser"
    named = _check(name, anchor, bank, index, negatives, temperature)
    valid, row = _in_range(index, named["samples"])
    counted = subset(name, where, named["batch"])
    counts = counted.mask & valid
    scores = jax.lax.stop_gradient(_scores(anchor, bank))
    rows = jnp.concatenate([row[:, None], jnp.asarray(negatives)], axis=1)
    h = jnp.exp(jnp.take_along_axis(scores, rows, axis=1) / as_number(temperature))
    mean = jnp.mean(h, axis=1)
    total = jnp.sum(jnp.where(counts, mean, 0.0))
    count = jnp.sum(counts, dtype=jnp.float32)
    return named["samples"] * total / jnp.maximum(count, 1.0)


def queue_kl(
    student_features: Embedding,
    teacher_features: Embedding,
    queue: Float[AnyArray, "length channels"],
    temperature: Scalar = 0.07,
    valid: Bool[AnyArray, " length"] | None = None,
) -> PerSample:
    """KL between both networks' similarities to a queue of teacher features.

        p = softmax(Q t / (||t|| tau)),  q = softmax(Q s / (||s|| tau)),  v_i = KL(p||q)

    Label-free distillation of features as in the public code of LightlyTrain
    (`distillation_loss.py`): Q of unit rows, up to 8192, updated with the batch before
    the loss; s is the student's pooled feature after a linear layer. >= 0. A zero
    feature is similar to all rows alike, with a zero gradient.

    Args:
      student_features: in the teacher's channels, of any length.
      teacher_features: of any length.
      queue: rows of unit length, see `updated_queue`.
      temperature: > 0, finite.
      valid: which rows of the queue play a part; None for all, as in the public code,
        whose rows are zeros until they are filled. With no valid row the value is 0.

    >>> import numpy as np
    >>> queue, student = np.float32([[1, 0], [0, 1]]), np.float32([[0, 2]])
    >>> print(queue_kl(student, np.float32([[3, 0]]), queue, 1.0).round(4))
    [0.4621]
    """
    named = {"valid": (valid, "length")} if valid is not None else {}
    contracts.shapes(
        "queue_kl",
        student_features=(student_features, "batch channels"),
        teacher_features=(teacher_features, "batch channels"),
        queue=(queue, "length channels"),
        **named,
    )
    contracts.positive("queue_kl", "temperature", temperature)
    valid = None if valid is None else jnp.asarray(valid)

    def similarities(features):
        scores = _scores(unit(as_float32(features)), queue)
        return scores if valid is None else jnp.where(valid[None], scores, LOWEST)

    s, t = similarities(student_features), similarities(teacher_features)
    return kl_divergence(s, t, temperature)


def _check(where: str, anchor, bank, index, negatives, temperature) -> dict[str, int]:
    named = contracts.shapes(
        where,
        anchor=(anchor, "batch channels"),
        bank=(bank, "samples channels"),
        index=(index, "batch"),
        negatives=(negatives, "batch k"),
    )
    contracts.positive(where, "temperature", temperature)
    contracts.integers(where, index=index)
    contracts.in_range(where, "negatives", negatives, named["samples"])
    if not named["samples"]:
        raise ValueError(f"{where}: bank has samples=0; expected at least one.")
    return named


def _scores(anchor, bank) -> Float[Array, "batch samples"]:
    return jnp.matmul(as_float32(anchor), as_float32(bank).T, precision=_EXACT)


def _in_range(index, size: int):
    index = as_int32(index)
    valid = (index >= 0) & (index < size)
    return valid, jnp.where(valid, index, 0)


def _counts(negatives, size: int) -> Float[Array, "batch samples"]:
    """How often each row of the bank was drawn. Added as integers: in any order."""
    negatives = jnp.asarray(negatives)
    rows = jnp.arange(negatives.shape[0])[:, None]
    counts = jnp.zeros((negatives.shape[0], size), jnp.int32)
    return counts.at[rows, negatives].add(1).astype(jnp.float32)


def _log_normaliser(normaliser) -> Float[Array, ""]:
    z = as_float32(normaliser)
    return jnp.log(jnp.where(z == 0, 1.0, z))
