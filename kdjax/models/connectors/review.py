"""ReviewKD's attention-based fusion of the student's levels."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.models.connectors import blocks, maps
from kdjax.types import Outputs


class ReviewFusion(nn.Module):
    """ReviewKD: fuses the student's levels from the deepest to the shallowest.

    Of level l, with r the fused map of the level below it in depth order (deeper):
        x = norm(conv1x1(f_l))                          to `mid` channels
        a, b = sigmoid(conv1x1([x, up(r)]))             one number per position each
        r = a x + b up(r)                               at the deepest level r = x
        output_l = norm(conv3x3(r'))                    to the teacher's channels
    `up` takes r to the size of x, and r' is r in the teacher's size, both by nearest
    neighbour; r' is also what the next level gets. A vector, such as "pooled", is a map
    of 1x1. The convolutions before a norm have no bias and start from U(-b, b),
    b = sqrt(3 / fan-in); that of the attention has one, by PyTorch's default.
    Chen et al., arXiv 2104.09044, section 3.3; details as in the authors' code and in
    mdistiller, to which the published numbers belong.

    Attributes:
      students: features from shallow to deep, such as ("stage1", ..., "pooled").
      teachers: the teacher's features, as many; only their shapes are read.
      mid: channels that are fused; None for min(512, channels of the deepest level).

    Returns:
      tuple of [b, h, w, c] as the teacher's maps, from shallow to deep.

    Raises:
      ValueError: no such feature; not as many names of both; a mid below 1.

    >>> def outputs(channels):
    ...     maps = {"stage1": jnp.ones((2, 4, 4, channels))}
    ...     return Outputs(None, maps | {"pooled": jnp.ones((2, channels))})
    >>> fusion = ReviewFusion(("stage1", "pooled"), ("stage1", "pooled"))
    >>> fused, variables = fusion.init_with_output(
    ...     jax.random.key(0), outputs(3), outputs(5), True)
    >>> [level.shape for level in fused]
    [(2, 4, 4, 5), (2, 1, 1, 5)]
    """

    students: tuple[str, ...]
    teachers: tuple[str, ...]
    mid: int | None = None

    @nn.compact
    def __call__(
        self, student: Outputs, teacher: Outputs, train: bool
    ) -> tuple[jax.Array, ...]:
        where = type(self).__name__
        if not self.students or len(self.students) != len(self.teachers):
            raise ValueError(
                f"{where}: students is {self.students!r}, teachers {self.teachers!r}; "
                "expected as many names of both, one or more."
            )
        own = [_level(where, "student", student, name) for name in self.students]
        targets = [_level(where, "teacher", teacher, name) for name in self.teachers]
        mid = min(512, own[-1].shape[-1]) if self.mid is None else self.mid
        if mid < 1:
            raise ValueError(f"{where}: mid is {mid}; expected a number above 0.")
        fused, outputs = None, []
        for level in reversed(range(len(own))):
            block = _Fusion(mid, targets[level].shape[1:], name=f"level{level + 1}")
            output, fused = block(own[level], fused, train)
            outputs.insert(0, output)
        return tuple(outputs)


class _Fusion(nn.Module):
    mid: int
    shape: tuple[int, int, int]  # [h, w, c] of the teacher's map

    @nn.compact
    def __call__(
        self, x: jax.Array, deeper: jax.Array | None, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the output in the teacher's shape and the fused map."""
        channels = self.shape[-1]
        x = blocks.Conv(self.mid, bias=False, gain=3.0, name="conv1")(x)
        x = blocks.norm(self.mid, "norm1")(x, train)
        if deeper is not None:
            deeper = maps.nearest_to(deeper, x.shape[1:3])
            both = jnp.concatenate([x, deeper], axis=-1)
            attention = nn.sigmoid(blocks.Conv(2, name="attention")(both))
            x = x * attention[..., :1] + deeper * attention[..., 1:]
        x = maps.nearest_to(x, self.shape[:2])
        conv = blocks.Conv(channels, (3, 3), pad=1, bias=False, gain=3.0, name="conv2")
        return blocks.norm(channels, "norm2")(conv(x), train), x


def _level(where: str, role: str, outputs: Outputs, name: str) -> jax.Array:
    x = maps.feature(where, role, outputs, name, maps.MAP, "batch channels")
    return x if x.ndim == 4 else x[:, None, None, :]
