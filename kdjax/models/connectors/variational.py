"""VID's regressors of the teacher's maps and their variances."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from kdjax.losses.maps import adaptive_average_pool
from kdjax.models.connectors import blocks, maps
from kdjax.types import Outputs

_EPSILON = 1e-5  # what the loss adds to softplus(rho)


class VariationalHeads(nn.Module):
    """VID: per pair the mean of a Gaussian of the teacher's map, and its raw variance.

        mean = conv1x1(relu(conv1x1(relu(conv1x1(student map)))))
        rho_c with softplus(rho_c) + 1e-5 = `variance` at the start

    All three convolutions have the teacher's channels and no bias; PyTorch's default
    initialisation. A student's map that is higher than the teacher's is first adaptive
    average pooled to the teacher's sides; where it is smaller, the teacher's is for the
    loss to pool. Ahn et al., arXiv 1904.05835; as in the public code of
    RepDistiller, which pools, and whose variances are per channel.

    Attributes:
      pairs: (student's feature, teacher's feature), maps [b, h, w, c].
      variance: every channel's at the start, above 1e-5.

    Returns:
      student's name -> {"mean": [b, h, w, teacher's c], "rho": [teacher's c]}.

    Raises:
      ValueError: no such feature; pairs that are empty or name a student's feature
        twice; a variance that is not above 1e-5.

    >>> student = Outputs(None, {"stage1": jnp.ones((2, 4, 4, 3))})
    >>> teacher = Outputs(None, {"stage1": jnp.ones((2, 4, 4, 5))})
    >>> heads = VariationalHeads(pairs=(("stage1", "stage1"),))
    >>> outputs, variables = heads.init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["stage1"]["mean"].shape, outputs["stage1"]["rho"].shape
    ((2, 4, 4, 5), (5,))
    """

    pairs: maps.Pairs
    variance: float = 5.0

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where, outputs = type(self).__name__, {}
        maps.check_pairs(where, self.pairs)
        if not self.variance > _EPSILON:
            expected = f"a number above {_EPSILON:g}"
            raise ValueError(
                f"{where}: variance is {self.variance:g}; expected {expected}."
            )
        for pair in self.pairs:
            s, t = maps.feature_pair(where, student, teacher, pair)
            if s.shape[1] > t.shape[1]:
                s = adaptive_average_pool(s, *t.shape[1:3])
            outputs[pair[0]] = _Head(t.shape[-1], self.variance, name=pair[0])(s)
        return outputs


class _Head(nn.Module):
    channels: int
    variance: float

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        x = nn.relu(blocks.Conv(self.channels, bias=False, name="conv1")(x))
        x = nn.relu(blocks.Conv(self.channels, bias=False, name="conv2")(x))
        mean = blocks.Conv(self.channels, bias=False, name="conv3")(x)
        excess = self.variance - _EPSILON
        # log(exp(excess) - 1), also where exp overflows.
        start = nn.initializers.constant(excess + math.log(-math.expm1(-excess)))
        rho = self.param("rho", start, (self.channels,), jnp.float32)
        return {"mean": mean, "rho": rho}
