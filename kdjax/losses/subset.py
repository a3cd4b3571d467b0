"""What losses between the samples of a batch share: the sub-batch that counts."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, PerSample, Scalar, as_float32

# Of numbers or booleans; > 0 for the samples that count. None: all do.
Samples = Shaped[AnyArray, " batch"] | None


class Subset(NamedTuple):
    """Which samples count, and how many; all of it may be traced."""

    mask: Bool[Array, " batch"]
    count: Float[Array, ""]

    @property
    def mean_over(self) -> Float[Array, ""]:
        """The count as a divisor: 1 where nothing is selected."""
        return jnp.maximum(self.count, 1.0)

    def keep(self, x: Float[AnyArray, "batch ..."]) -> Float[Array, "batch ..."]:
        """`x` in float32 with 0 in the samples that do not count, even for a NaN."""
        x = as_float32(x)
        return jnp.where(self.mask.reshape((-1,) + (1,) * (x.ndim - 1)), x, 0.0)

    def pairs(self) -> Bool[Array, "batch batch"]:
        """True for two different samples that both count."""
        both = self.mask[:, None] & self.mask[None, :]
        return both & ~jnp.eye(self.mask.size, dtype=bool)

    def share(self, value: Float[Array, ""]) -> PerSample:
        """One number for the batch, given to each sample that counts; else 0."""
        return jnp.where(self.mask, value, 0.0)


def subset(name: str, where: Samples, batch: int) -> Subset:
    """The samples with where > 0, all of them for None; `name` opens the error."""
    if where is not None:
        given = contracts.shapes(name, where=(where, "batch"))["batch"]
        if given != batch:
            raise ValueError(
                f"{name}: where has shape ({given},); expected ({batch},)."
            )
    mask = jnp.ones(batch, bool) if where is None else jnp.asarray(where) > 0
    return Subset(mask, jnp.sum(mask, dtype=jnp.float32))


def norms(x: Array, axis: int = -1) -> Array:
    """Euclidean lengths, axis kept; 0 with a zero gradient for a zero vector.

    NaN is no zero: it stays.
    """
    square = jnp.sum(x * x, axis=axis, keepdims=True)
    absent = square <= 0
    return jnp.where(absent, 0.0, jnp.sqrt(jnp.where(absent, 1.0, square)))


def unit(x: Array, axis: int = -1, eps: Scalar = 0.0) -> Array:
    """x / (length + eps); 0 with a zero gradient for a zero vector."""
    length = norms(x, axis)
    absent = length <= 0
    return jnp.where(absent, 0.0, x / (jnp.where(absent, 1.0, length) + eps))
