"""Checksums and digests of pytrees: Orbax does not notice a flipped bit."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.types import PyTree


@jax.jit
def checksums(tree: PyTree) -> jax.Array:
    """One uint32 a leaf: sum of bits_i (2 i + 1) mod 2^32.

    Wrap-around addition is exact in any order, so the value depends neither on sharding
    nor on the number of devices; the odd multiplier betrays a change of any element.
    """

    def leaf_sum(x):
        x = x.astype(jnp.uint8) if x.dtype == jnp.bool_ else x
        x = jnp.stack([x.real, x.imag]) if jnp.iscomplexobj(x) else x
        width = {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32)
        bits = jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32).ravel()
        odd = jnp.uint32(2) * jnp.arange(bits.size, dtype=jnp.uint32) + jnp.uint32(1)
        return jnp.sum(bits * odd, dtype=jnp.uint32)

    return jnp.stack([leaf_sum(x) for x in jax.tree.leaves(tree)])


def sums_of(items: dict[str, PyTree]) -> dict[str, list[int]]:
    """The checksums of each item's leaves, as JSON holds them."""
    return {
        name: np.asarray(checksums(tree)).tolist() if jax.tree.leaves(tree) else []
        for name, tree in items.items()
    }


def digest(tree: PyTree) -> str:
    """SHA-256 over names, types, shapes and bytes of all leaves."""
    result = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        name = f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}"
        result.update(name.encode())
        result.update(array.tobytes())
    return result.hexdigest()
