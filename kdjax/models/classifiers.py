"""The classifier of a network, and a network that predicts with another one's."""

from collections.abc import Mapping
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.contracts import InputError
from kdjax.losses.maps import adaptive_average_pool
from kdjax.models import layers
from kdjax.models.connectors import blocks, maps
from kdjax.models.network import Network
from kdjax.types import Outputs, PyTree


def classifier_of(params: PyTree, role: str) -> tuple:
    """(kernel [channels, classes], bias [classes] or None) of `params["head"]`.

    `role` names the network in errors.

    Raises:
      InputError: it has no such classifier.
    """
    head = params.get("head", {}) if isinstance(params, Mapping) else {}
    if "kernel" not in head or len(head["kernel"].shape) != 2:
        raise InputError(
            f"the {role} has no classifier head/kernel of [channels, classes] among "
            "its parameters; expected one network of kdjax, or a Linen module whose "
            'last layer is nn.Dense(name="head").'
        )
    return head["kernel"], head.get("bias")


class Reuse(NamedTuple):
    """How a student gets to the classifier of its teacher; a record of it is JSON.

    feature: the student's map, which is rectified; channels: of the teacher's map;
    factor: by how much the projector is narrower inside; sides: (height, width) to
    which the student's map is pooled, of the teacher's where that is smaller, or None;
    bias: whether the classifier has one.
    """

    feature: str
    channels: int
    factor: int = 2
    sides: tuple[int, int] | None = None
    bias: bool = True


class Projector(nn.Module):
    """SimKD: a map in the teacher's channels.

        relu(norm(conv1x1(relu(norm(conv3x3(relu(norm(conv1x1(x)))))))))

    Widths `channels` // `factor` twice, then `channels`; no biases; PyTorch's default
    initialisation. Chen et al., arXiv 2203.14001, section 3.2.

    >>> maps, variables = Projector(channels=6).init_with_output(
    ...     jax.random.key(0), jnp.ones((2, 4, 4, 3)), True)
    >>> maps.shape
    (2, 4, 4, 6)
    """

    channels: int
    factor: int = 2

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        width = self.channels // self.factor
        for number, (features, side) in enumerate(
            ((width, 1), (width, 3), (self.channels, 1)), start=1
        ):
            options = {"pad": side // 2, "bias": False, "name": f"conv{number}"}
            x = blocks.Conv(features, (side, side), **options)(x)
            x = nn.relu(blocks.norm(features, f"norm{number}")(x, train))
        return x


def with_reused_classifier(
    network: Network, reuse: Reuse, classifier: tuple | None = None
) -> Network:
    """A network that predicts with the classifier of another: SimKD's student.

        logits = mean over positions of Projector(relu(map)) times kernel, plus bias

    Its params are {"network", "projector"}; the classifier, which nothing trains, lies
    in its batch_stats as {"network", "projector", "classifier"}. So both come with the
    network wherever it goes: they stay at inference. The network's own classifier stays
    among its parameters and is not used. Features are the network's; beside them there
    is "projected", the map, and "pooled" is its mean.

    Args:
      classifier: (kernel [channels, classes], bias or None) that `init` gives; None:
        zeros, where the values come from a checkpoint.

    Raises:
      ValueError: while tracing: no such feature; a factor that leaves no channel.

    >>> from kdjax.models import create
    >>> reuse = Reuse("stage3_preact", channels=6, bias=False)
    >>> network = with_reused_classifier(create("resnet8", num_classes=10), reuse)
    >>> images = jnp.ones((2, 8, 8, 3))
    >>> params, batch_stats = jax.jit(network.init)(jax.random.key(0), images)
    >>> sorted(params), sorted(batch_stats)
    (['network', 'projector'], ['classifier', 'network', 'projector'])
    >>> network.evaluate(params, batch_stats, images).logits.shape
    (2, 10)
    """
    composite = _Reusing(network, reuse, classifier)
    return Network(
        composite.init, composite.train, composite.evaluate, composite.freeze
    )


class _Reusing(NamedTuple):
    network: Network
    reuse: Reuse
    classifier: tuple | None

    def init(self, key, images) -> tuple[PyTree, PyTree]:
        first, second = jax.random.split(key)
        params, batch_stats = self.network.init(first, images)
        shapes = jax.eval_shape(self.network.evaluate, params, batch_stats, images)
        x = jax.eval_shape(self._map, shapes)
        own = flax.core.unfreeze(self._projector().lazy_init(second, x, train=True))
        params = {"network": params, "projector": own["params"]}
        batch_stats = {"network": batch_stats, "projector": own["batch_stats"]}
        classifier = self._classifier(shapes.logits.shape[-1])
        return params, batch_stats | {"classifier": classifier}

    def train(self, params, batch_stats, images, key=None) -> tuple[Outputs, PyTree]:
        own = (params["network"], batch_stats["network"], images, key)
        outputs, network = self.network.train(*own)
        projected, changed = self._project(params, batch_stats, outputs, True)
        batch_stats = batch_stats | {"network": network} | changed
        return self._predict(batch_stats, outputs, projected), batch_stats

    def evaluate(self, params, batch_stats, images) -> Outputs:
        own = (params["network"], batch_stats["network"], images)
        outputs = self.network.evaluate(*own)
        projected, _ = self._project(params, batch_stats, outputs, False)
        return self._predict(batch_stats, outputs, projected)

    def freeze(self, params, batch_stats, image_shape) -> PyTree:
        own = (params["network"], batch_stats["network"], image_shape)
        return batch_stats | {"network": self.network.freeze(*own)}

    def _projector(self) -> Projector:
        channels, factor = self.reuse.channels, self.reuse.factor
        layers.positive_integer("simkd", "factor", factor)
        if factor > channels:
            raise ValueError(
                f"simkd: factor is {factor}; expected at most {channels}, the "
                "teacher's channels."
            )
        return Projector(channels, factor)

    def _map(self, outputs: Outputs) -> jax.Array:
        name = self.reuse.feature
        x = maps.feature("simkd", "student", outputs, name)
        x = nn.relu(x) if name.endswith("_preact") else x
        if self.reuse.sides is None:
            return x
        sides = zip(x.shape[1:3], self.reuse.sides, strict=True)
        return adaptive_average_pool(x, *map(min, sides))

    def _project(self, params, batch_stats, outputs: Outputs, train: bool):
        variables = {
            "params": params["projector"],
            "batch_stats": batch_stats["projector"],
        }
        projected, changed = self._projector().apply(
            variables, self._map(outputs), train, mutable=["batch_stats"] * train
        )
        return projected, {"projector": changed["batch_stats"]} if train else {}

    def _predict(self, batch_stats, outputs: Outputs, projected) -> Outputs:
        head, pooled = batch_stats["classifier"], layers.global_average_pool(projected)
        logits = jnp.matmul(pooled, head["kernel"])
        if "bias" in head:
            logits = logits + head["bias"][None, :]
        features = {"projected": projected, "pooled": pooled}
        return Outputs(logits, outputs.features | features)

    def _classifier(self, classes: int) -> dict[str, jax.Array]:
        kernel, bias = self.classifier or (None, None)
        if kernel is None:
            kernel = jnp.zeros((self.reuse.channels, classes), jnp.float32)
            bias = jnp.zeros((classes,), jnp.float32)
        result = {"kernel": jnp.asarray(kernel, jnp.float32)}
        if self.reuse.bias:
            result["bias"] = jnp.asarray(bias, jnp.float32)
        return result
