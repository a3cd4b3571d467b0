"""SimKD's projector, which stays in the student at inference."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models import layers
from kdjax.models.connectors import blocks, maps
from kdjax.types import Outputs


class Projector(nn.Module):
    """SimKD: the student's last map in the teacher's channels.

        relu(norm(conv1x1(relu(norm(conv3x3(relu(norm(conv1x1(student map)))))))))

    Widths c_t // factor twice, then c_t; no biases; PyTorch's default initialisation.
    The larger of both maps is first adaptive average pooled to the sides of the
    smaller. The teacher's is rectified before that, so that it is what its classifier
    pools also where the feature is a pre-activation. The student predicts with the
    teacher's classifier on "pooled", so these parameters stay at inference.
    Chen et al., arXiv 2203.14001, section 3.2, factor 2 as in the public code.

    Attributes:
      student, teacher: names of the features, maps [b, h, w, c].
      factor: by how much the bottleneck is narrower than the teacher's map.

    Returns:
      {"student": [b, h, w, c_t], "teacher": [b, h, w, c_t], "pooled": [b, c_t]}:
      projection, target, and the projection's mean over positions.

    Raises:
      ValueError: no such feature; a factor below 1 or above c_t.

    >>> student = Outputs(None, {"stage3": jnp.ones((2, 4, 4, 3))})
    >>> teacher = Outputs(None, {"stage3": jnp.ones((2, 8, 8, 6))})
    >>> outputs, variables = Projector().init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["student"].shape, outputs["teacher"].shape, outputs["pooled"].shape
    ((2, 4, 4, 6), (2, 4, 4, 6), (2, 6))
    """

    student: str = "stage3"
    teacher: str = "stage3"
    factor: int = 2

    @nn.compact
    def __call__(
        self, student: Outputs, teacher: Outputs, train: bool
    ) -> dict[str, jax.Array]:
        where, pair = type(self).__name__, (self.student, self.teacher)
        layers.positive_integer(where, "factor", self.factor)
        s, t = maps.feature_pair(where, student, teacher, pair)
        width, channels = t.shape[-1] // self.factor, t.shape[-1]
        if width < 1:
            raise ValueError(
                f"{where}: factor is {self.factor}; expected at most {channels}, the "
                "teacher's channels."
            )
        t = nn.relu(t)
        if s.shape[1] > t.shape[1]:
            s = maps.average_pool_to(s, t.shape[1:3])
        else:
            t = maps.average_pool_to(t, s.shape[1:3])
        x = self._layer(s, width, 1, 1, train)
        x = self._layer(x, width, 3, 2, train)
        x = self._layer(x, channels, 1, 3, train)
        return {"student": x, "teacher": t, "pooled": jnp.mean(x, axis=(1, 2))}

    def _layer(self, x, width: int, kernel: int, number: int, train: bool) -> jax.Array:
        pad, name = kernel // 2, f"conv{number}"
        conv = blocks.Conv(width, (kernel, kernel), pad=pad, bias=False, name=name)
        return nn.relu(blocks.norm(width, f"norm{number}")(conv(x), train))
