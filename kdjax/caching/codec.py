"""From a teacher's outputs to what is stored of them, and back. Pure; runs inside jit.

All logits, or the `top_k` largest, their classes, and one logit for all other classes:

    rest = log mean_j exp(z_j),  j not among the top k

At temperature 1 the stored classes keep their exact probability, and so does the rest
as a whole. At tau a class of the rest weighs (mean_j exp(z_j))^(1 / tau) instead of
mean_j exp(z_j / tau): too much above 1, too little below (Jensen). The share of
KL(teacher || uniform) that is lost, for synthetic logits of 1000 classes of which the
first has a probability of 75 % on average:

    top k    tau 1    tau 2    tau 4    tau 20
       10    3.5 %    21 %     62 %     87 %
       50    1.4 %    12 %     44 %     71 %
      200    0.3 %     4 %     21 %     42 %

So `top_k` is for temperatures near 1. Store all logits for higher ones, and for losses
on logits.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kdjax.caching.layout import Layout
from kdjax.contracts import InputError
from kdjax.types import Outputs


class StoredFeatures(dict):
    """Features of a cache; another one's name raises an error that lists these."""

    def __missing__(self, name: str):
        raise InputError(
            f"config.teacher.cache: the method reads the teacher's feature {name!r}, "
            f"and the cache holds {', '.join(self) or 'no features'}. `python -m kdjax "
            "cache --features=pooled` writes what may be missing; train without it "
            "otherwise."
        )


jax.tree_util.register_pytree_with_keys(
    StoredFeatures,
    lambda features: (
        [(jax.tree_util.DictKey(name), features[name]) for name in sorted(features)],
        tuple(sorted(features)),
    ),
    lambda names, values: StoredFeatures(zip(names, values, strict=True)),
)


def encode(outputs: Outputs, layout: Layout) -> dict[str, Array]:
    """A teacher's outputs -> the layout's arrays, each [batch, ...] and unrounded."""
    logits = outputs.member_logits if layout.members else outputs.logits
    logits = logits.astype(jnp.float32)
    arrays = {n: outputs.features[n].astype(jnp.float32) for n in layout.features}
    if not layout.top_k:
        return arrays | {"logits": logits}
    values, classes = jax.lax.top_k(logits, layout.top_k)
    rest = _over_rows(_rest, logits)(logits, classes)
    return arrays | {"logits": values, "classes": classes, "rest": rest}


def decode(rows: dict[str, Array], layout: Layout) -> Outputs:
    """The layout's arrays, each [batch, ...] -> the teacher's outputs in float32.

    >>> layout = Layout(
    ...     examples=9, classes=4, members=0, dtype="float32", top_k=1, features={}
    ... )
    >>> teacher = Outputs(jnp.log(jnp.array([[0.7, 0.1, 0.15, 0.05]])), {})
    >>> stored = decode(encode(teacher, layout), layout)
    >>> [round(p, 3) for p in jax.nn.softmax(stored.logits)[0].tolist()]
    [0.7, 0.1, 0.1, 0.1]
    """

    def fill(values, top, rest):
        return jnp.full(layout.classes, rest).at[top].set(values)

    features = {name: rows[name].astype(jnp.float32) for name in layout.features}
    logits = rows["logits"].astype(jnp.float32)
    if layout.top_k:
        rest, classes = rows["rest"].astype(jnp.float32), rows["classes"]
        logits = _over_rows(fill, logits)(logits, classes.astype(jnp.int32), rest)
    members = None
    if layout.members:
        members, logits = logits, jnp.mean(logits, axis=1)
    return Outputs(logits, StoredFeatures(features), members)


def _over_rows(one_row, array: Array):
    """Maps a function of one row over all axes of `array` but the last."""
    # As many maps as axes: a scatter that is mapped stays on the device of its row.
    for _ in range(array.ndim - 1):
        one_row = jax.vmap(one_row)
    return one_row


def _rest(logits: Float[Array, " classes"], top: Int[Array, " top_k"]) -> Array:
    others = logits.at[top].set(-jnp.inf)
    count = logits.shape[0] - top.shape[0]
    return jax.nn.logsumexp(others) - jnp.log(jnp.float32(count))
