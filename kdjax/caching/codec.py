"""From a teacher's outputs to what is stored of them, and back. Pure; runs inside jit.

All logits, or the `top_k` largest, their classes, and one number for the rest: every
class that is not stored gets the logit

    rest = log mean_j exp(z_j),  j not among the top k

so that at temperature 1 the stored classes have exactly the probability that they had,
and so has the rest as a whole. At another temperature tau a class of the rest weighs
(mean_j exp(z_j))^(1 / tau) where the mean of exp(z_j / tau) would be right: too much
above 1, too little below (Jensen), and the order within the rest, which a high
temperature teaches, is gone. What is lost of KL(teacher || uniform), all that a target
says, with made logits of 1000 classes of which the first is 75 % sure on average:

    top k    tau 1    tau 2    tau 4    tau 20
       10    3.5 %    21 %     62 %     87 %
       50    1.4 %    12 %     44 %     71 %
      200    0.3 %     4 %     21 %     42 %

So `top_k` is for temperatures near 1. Store all logits for higher ones, and for losses
on logits, which see a rest that is flat.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kdjax.caching.layout import Layout
from kdjax.contracts import InputError
from kdjax.types import Outputs


class Stored(dict):
    """Features of a cache; names what there is when another one is asked for."""

    def __missing__(self, name: str):
        raise InputError(
            f"config.teacher.cache: the method looks at the teacher's feature {name!r},"
            f" and the cache holds {', '.join(self) or 'no features'}. Write it with "
            "--features=pooled if that is what is missing; train without it otherwise."
        )


jax.tree_util.register_pytree_with_keys(
    Stored,
    lambda stored: (
        [(jax.tree_util.DictKey(name), stored[name]) for name in sorted(stored)],
        tuple(sorted(stored)),
    ),
    lambda names, values: Stored(zip(names, values, strict=True)),
)


def encode(outputs: Outputs, layout: Layout) -> dict[str, Array]:
    """What is stored of a batch, still in float32: the writer rounds and checks.

    Args:
      outputs: of a teacher.
      layout: says what is stored.

    Returns:
      The layout's arrays, each [batch, ...]; classes int32.
    """
    said = outputs.features["members"] if layout.members else outputs.logits
    said = said.astype(jnp.float32)
    found = {
        name: outputs.features[name].astype(jnp.float32) for name in layout.features
    }
    if not layout.top_k:
        return found | {"logits": said}
    values, classes = jax.lax.top_k(said, layout.top_k)
    rest = _over_rows(_rest, said)(said, classes)
    return found | {"logits": values, "classes": classes, "rest": rest}


def decode(rows: dict[str, Array], layout: Layout) -> Outputs:
    """Outputs of a batch as the teacher itself would give them, in float32.

    Args:
      rows: the layout's arrays, each [batch, ...].
      layout: says what is stored.

    >>> layout = Layout(
    ...     examples=9, classes=4, members=0, dtype="float32", top_k=1, features={}
    ... )
    >>> teacher = Outputs(jnp.log(jnp.array([[0.7, 0.1, 0.15, 0.05]])), {})
    >>> found = jax.nn.softmax(decode(encode(teacher, layout), layout).logits)
    >>> [round(p, 3) for p in found[0].tolist()]
    [0.7, 0.1, 0.1, 0.1]
    """
    features = {name: rows[name].astype(jnp.float32) for name in layout.features}
    said = rows["logits"].astype(jnp.float32)
    if layout.top_k:
        fill = functools.partial(_fill, layout.classes)
        rest, classes = rows["rest"], rows["classes"].astype(jnp.int32)
        said = _over_rows(fill, said)(said, classes, rest.astype(jnp.float32))
    if layout.members:
        features["members"] = said
        return Outputs(jnp.mean(said, axis=1), Stored(features))
    return Outputs(said, Stored(features))


def _over_rows(one, array: Array):
    """Maps a function of one row over all axes of `array` but the last."""
    # As many maps as axes: a scatter that is mapped stays on the device of its row.
    for _ in range(array.ndim - 1):
        one = jax.vmap(one)
    return one


def _rest(
    said: Float[Array, " classes"], top: Int[Array, " top_k"]
) -> Float[Array, ""]:
    others = said.at[top].set(-jnp.inf)
    count = said.shape[0] - top.shape[0]
    return jax.nn.logsumexp(others) - jnp.log(jnp.float32(count))


def _fill(
    classes: int,
    values: Float[Array, " top_k"],
    top: Int[Array, " top_k"],
    rest: Float[Array, ""],
) -> Float[Array, " classes"]:
    return jnp.full(classes, rest).at[top].set(values)
