"""A method's objective on given outputs, features among them."""

import jax.numpy as jnp
import numpy as np

from kdjax.types import LossInputs, Outputs

LABELS = np.int32([0, 2, 1])


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def given(student=None, teacher=None, **rest) -> LossInputs:
    """What terms see: features of both, logits [3, 4] and LABELS."""
    inputs = LossInputs(
        student=Outputs(normal(101, 3, 4), student or {}),
        teacher=Outputs(normal(102, 3, 4), teacher or {}),
        labels=jnp.asarray(LABELS),
        supervision=None,
        selection=jnp.ones(3),
        step=np.int32(0),
    )
    return inputs._replace(**rest)


def objective(method, inputs):
    """Coefficients times batch means, summed."""
    total = 0.0
    for term in method.terms:
        values = term.values(inputs)
        assert values.shape == inputs.labels.shape and values.dtype == jnp.float32
        total += term.coefficient * jnp.mean(values)
    return total


def cross_entropy(logits=None, labels=LABELS) -> float:
    logits = np.float64(normal(101, 3, 4) if logits is None else logits)
    values = [
        np.log(np.exp(z).sum()) - z[y] for z, y in zip(logits, labels, strict=True)
    ]
    return float(np.mean(values))
