"""Several networks as one: an ensemble of teachers, or students that are peers."""

import jax
import jax.numpy as jnp

from kdjax.models.network import Network
from kdjax.types import Outputs, PyTree


def ensemble(networks: tuple[Network, ...]) -> Network:
    """One `Network` of two or more of the same classes; its logits are their mean.

    `Outputs.member_logits` has every member's own, and each feature that all have in
    the same shape is [batch, networks, ...]; so a method can combine them as its paper
    does. `train` takes one array of images for all, or a tuple with one array each.
    Parameters and statistics are dicts "member0", "member1", ...
    """
    if len(networks) < 2:
        raise ValueError(f"ensemble: {len(networks)} network(s); expected two or more.")
    names = [f"member{i}" for i in range(len(networks))]
    members = dict(zip(names, networks, strict=True))

    def init(key, images) -> tuple[PyTree, PyTree]:
        keys = jax.random.split(key, len(names))
        pairs = [members[n].init(k, images) for n, k in zip(names, keys, strict=True)]
        both = zip(*pairs, strict=True)
        return tuple(dict(zip(names, values, strict=True)) for values in both)

    def train(params, batch_stats, images, key=None) -> tuple[Outputs, PyTree]:
        if not isinstance(images, tuple):
            images = (images,) * len(names)
        if len(images) != len(names):
            raise ValueError(
                f"ensemble: {len(images)} arrays of images for {len(names)} networks; "
                "expected one array for all, or a tuple with one each."
            )
        keys = [None] * len(names) if key is None else jax.random.split(key, len(names))
        results = {
            name: members[name].train(params[name], batch_stats[name], own, own_key)
            for name, own, own_key in zip(names, images, keys, strict=True)
        }
        outputs = _combined([outputs for outputs, _ in results.values()])
        return outputs, {name: stats for name, (_, stats) in results.items()}

    def evaluate(params, batch_stats, images) -> Outputs:
        return _combined(
            [members[n].evaluate(params[n], batch_stats[n], images) for n in names]
        )

    def freeze(params, batch_stats, image_shape) -> PyTree:
        return {
            name: member.freeze(params[name], batch_stats[name], image_shape)
            for name, member in members.items()
        }

    return Network(init, train, evaluate, freeze)


def _combined(outputs: list[Outputs]) -> Outputs:
    """Mean logits, and the members' own logits and features side by side."""
    shapes = {each.logits.shape for each in outputs}
    if len(shapes) > 1:
        raise ValueError(
            f"ensemble: the networks give logits of shapes {sorted(shapes)}; expected "
            "the same classes from all of them."
        )
    members = jnp.stack([each.logits for each in outputs], axis=1)
    features = {}
    for name in outputs[0].features:
        own = [each.features.get(name) for each in outputs]
        if all(x is not None for x in own) and len({x.shape for x in own}) == 1:
            features[name] = jnp.stack(own, axis=1)
    return Outputs(jnp.mean(members, axis=1), features, members)
