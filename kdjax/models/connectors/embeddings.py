"""Linear layers on features: CRD, CC and distillation against a queue."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.models.connectors import blocks, maps
from kdjax.types import Outputs

VECTOR = "batch channels"


class LinearEmbeddings(nn.Module):
    """CRD and CC: a linear embedding of each network's pooled features, both trained.

    CRD divides each embedding by its Euclidean norm, CC does not. A row of norm below
    1e-12 becomes 0, with gradient 0. PyTorch's default initialisation, with biases.
    Tian et al., arXiv 1910.10699, and Peng et al., arXiv 1904.01802, both with width
    128 as in RepDistiller's `Embed` and `LinearEmbed`.

    Attributes:
      normalise: to unit length (CRD: True; CC: False).
      width: of the embeddings.
      feature: [b, c] of both networks.

    Returns:
      {"student": [b, width], "teacher": [b, width]}.

    Raises:
      ValueError: no such feature, or not [batch, channels]; a width below 1.

    >>> student = Outputs(None, {"pooled": jnp.ones((2, 3))})
    >>> teacher = Outputs(None, {"pooled": jnp.ones((2, 5))})
    >>> outputs, variables = LinearEmbeddings(normalise=True).init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["student"].shape, outputs["teacher"].shape
    ((2, 128), (2, 128))
    """

    normalise: bool
    width: int = 128
    feature: str = "pooled"

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where, outputs = type(self).__name__, {}
        layers.positive_integer(where, "width", self.width)
        for role, network in (("student", student), ("teacher", teacher)):
            x = maps.feature(where, role, network, self.feature, VECTOR)
            x = blocks.dense(self.width, x.shape[-1], role)(x)
            outputs[role] = _unit(x) if self.normalise else x
        return outputs


class FeatureProjection(nn.Module):
    """Distillation against a queue: linear maps of the student's features, no labels.

    The pooled features go to the teacher's channels and, unless `normalise` is False,
    to unit length (a row of norm below 1e-12 becomes 0, with gradient 0). With `local`
    a second linear layer maps every position of a feature map; its outputs keep the
    student's sides and length, since they are resized before they are normalised.
    Kernels from N(0, 0.02^2): PyTorch's `trunc_normal_`, which cuts at 100 standard
    deviations here. Biases by PyTorch's default.
    As in the public code of lightly-train: `distillation` has the pooled layer alone,
    `distillationv3` both. No paper.

    Attributes:
      local: (student's feature, teacher's feature), maps [b, h, w, c]; None for none.
      normalise: the pooled projections.

    Returns:
      {"pooled": [b, c]}, with `local` also "local": [b, h, w, c]; c the teacher's.

    Raises:
      ValueError: no such feature; pooled features that are not [batch, channels].

    >>> student = Outputs(None, {"pooled": jnp.ones((2, 3))})
    >>> teacher = Outputs(None, {"pooled": jnp.ones((2, 5))})
    >>> outputs, variables = FeatureProjection().init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["pooled"].shape
    (2, 5)
    """

    local: tuple[str, str] | None = None
    normalise: bool = True

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where = type(self).__name__
        s = maps.feature(where, "student", student, "pooled", VECTOR)
        t = maps.feature(where, "teacher", teacher, "pooled", VECTOR)
        x = self._linear(s, t, "pooled")
        outputs = {"pooled": _unit(x) if self.normalise else x}
        if self.local is not None:
            s, t = maps.feature_pair(where, student, teacher, self.local)
            outputs["local"] = self._linear(s, t, "local")
        return outputs

    def _linear(self, s: jax.Array, t: jax.Array, name: str) -> jax.Array:
        kernel = nn.initializers.normal(0.02)
        return blocks.dense(t.shape[-1], s.shape[-1], name, kernel)(s)


def _unit(x: jax.Array) -> jax.Array:
    """Rows of length 1; those shorter than 1e-12 are 0, and so is their gradient."""
    square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    long = square > 1e-24
    return jnp.where(long, x / jnp.sqrt(jnp.where(long, square, 1.0)), 0.0)
