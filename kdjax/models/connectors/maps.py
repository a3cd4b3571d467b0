"""Features by name, and maps of one size from maps of another."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax import contracts
from kdjax.types import Outputs

MAP = "batch height width channels"
OTHER_MAP = "batch other_height other_width other_channels"
Pairs = tuple[tuple[str, str], ...]


def feature(
    where: str, role: str, outputs: Outputs, name: str, *patterns: str
) -> jax.Array:
    """That feature in float32: a map, or of one of the patterns where given."""
    if name not in outputs.features:
        names = sorted(outputs.features)
        raise ValueError(
            f"{where}: the {role} has no feature {name!r}; it has "
            f"{', '.join(names) or 'none'}.{contracts.nearest(name, names)}"
        )
    x = outputs.features[name]
    contracts.shapes(where, **{f"the {role}'s {name}": (x, *(patterns or (MAP,)))})
    if x.dtype != jnp.float32:
        x = jax.lax.optimization_barrier(x)  # as in layers.global_average_pool
    return x.astype(jnp.float32)


def feature_pair(
    where: str, student: Outputs, teacher: Outputs, pair: tuple[str, str]
) -> tuple[jax.Array, jax.Array]:
    """The maps of a (student, teacher) pair of names, of one batch."""
    s = feature(where, "student", student, pair[0])
    t = feature(where, "teacher", teacher, pair[1])
    contracts.shapes(where, student=(s, MAP), teacher=(t, OTHER_MAP))
    return s, t


def check_pairs(where: str, pairs: Pairs) -> None:
    """Raises ValueError unless pairs of names, no student's name twice."""
    well_formed = pairs and all(
        len(pair) == 2 and all(isinstance(name, str) for name in pair) for pair in pairs
    )
    if not well_formed or len({pair[0] for pair in pairs}) != len(pairs):
        raise ValueError(
            f"{where}: pairs is {pairs!r}; expected pairs of feature names, the "
            "student's first, none of those twice."
        )


def nearest_to(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """[b, h, w, c] -> [b, *size, c], row floor(i h / n), as PyTorch's "nearest".

    By matrices on both sides: their gradients add in a fixed order on any device.
    """
    if x.shape[1:3] == tuple(size):
        return x
    rows, columns = (
        np.eye(n, dtype=np.float32)[np.arange(m) * n // m]
        for n, m in zip(x.shape[1:3], size, strict=True)
    )
    exact = jax.lax.Precision.HIGHEST
    x = jnp.einsum("ih,bhwc->biwc", rows, x, precision=exact)
    return jnp.einsum("jw,biwc->bijc", columns, x, precision=exact)
