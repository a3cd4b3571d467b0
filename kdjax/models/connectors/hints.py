"""Regressors of feature maps: FitNets, AB and OFD."""

from flax import linen as nn

from kdjax.models import layers
from kdjax.models.connectors import blocks, maps
from kdjax.models.connectors.regressor import Regressor
from kdjax.types import Outputs


class HintRegressors(nn.Module):
    """FitNets: convolution, batch norm and ReLU from each student map to its teacher's.

    The convolution, which has a bias, follows from the sides s and t of both maps:
    3x3 of stride 2 where s = 2 t; a transposed 4x4 of stride 2 where t = 2 s; otherwise
    a kernel of 1 + s - t without padding. PyTorch's default initialisation.
    FitNets, arXiv 1412.6550, trains one stage; convolution and batch norm
    are those of RepDistiller's `ConvReg`, which its published numbers belong to.

    Attributes:
      pairs: (student's feature, teacher's feature), maps [b, h, w, c].

    Returns:
      student's name -> [b, h, w, c] as the teacher's map, not negative.

    Raises:
      ValueError: no such feature; a student's map smaller than the teacher's where not
        by half; pairs that are empty or name a student's feature twice.

    >>> import jax, jax.numpy as jnp
    >>> student = Outputs(None, {"stage2": jnp.ones((2, 8, 8, 3))})
    >>> teacher = Outputs(None, {"stage2": jnp.ones((2, 4, 4, 5))})
    >>> regressors = HintRegressors(pairs=(("stage2", "stage2"),))
    >>> outputs, variables = regressors.init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["stage2"].shape
    (2, 4, 4, 5)
    """

    pairs: maps.Pairs

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where, outputs = type(self).__name__, {}
        maps.check_pairs(where, self.pairs)
        for pair in self.pairs:
            s, t = maps.feature_pair(where, student, teacher, pair)
            regressor = Regressor(where, t.shape[1:], name=pair[0])
            outputs[pair[0]] = nn.relu(regressor(s, train))
        return outputs


class BoundaryConnectors(nn.Module):
    """AB: convolution and batch norm where the shapes of a pair differ, else identity.

    1x1 with a bias where the sides agree, otherwise chosen as in `HintRegressors`; no
    ReLU, so that the signs of pre-activations can be compared. PyTorch's default
    initialisation. Heo et al., arXiv 1811.03233; the connector is that of
    RepDistiller's `Connector`.

    Attributes:
      pairs: (student's feature, teacher's feature), maps [b, h, w, c], pre-activations
        in the paper.

    Returns:
      student's name -> [b, h, w, c] as the teacher's map.

    Raises:
      ValueError: as `HintRegressors`.

    >>> import jax, jax.numpy as jnp
    >>> student = Outputs(None, {"stage1_preact": jnp.ones((2, 4, 4, 3))})
    >>> connectors = BoundaryConnectors(pairs=(("stage1_preact", "stage1_preact"),))
    >>> outputs, variables = connectors.init_with_output(
    ...     jax.random.key(0), student, student, True)
    >>> outputs["stage1_preact"].shape, variables
    ((2, 4, 4, 3), {})
    """

    pairs: maps.Pairs

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where, outputs = type(self).__name__, {}
        maps.check_pairs(where, self.pairs)
        for pair in self.pairs:
            s, t = maps.feature_pair(where, student, teacher, pair)
            if s.shape != t.shape:
                s = Regressor(where, t.shape[1:], name=pair[0])(s, train)
            outputs[pair[0]] = s
        return outputs


class OverhaulConnectors(nn.Module):
    """OFD: 1x1 convolution without bias and batch norm to the teacher's channels.

    Sides stay the student's. He's normal initialisation over the fan-out, scale 1 and
    shift 0, as in the authors' code and in RepDistiller's `ConnectorV2`.
    Heo et al., arXiv 1904.01866.

    Attributes:
      pairs: (student's feature, teacher's feature), maps [b, h, w, c], pre-activations
        in the paper.

    Returns:
      student's name -> [b, student's h, student's w, teacher's c].

    Raises:
      ValueError: no such feature; pairs that are empty or name a student's feature
        twice.

    >>> import jax, jax.numpy as jnp
    >>> student = Outputs(None, {"stage1_preact": jnp.ones((2, 4, 4, 3))})
    >>> teacher = Outputs(None, {"stage1_preact": jnp.ones((2, 4, 4, 5))})
    >>> connectors = OverhaulConnectors(pairs=(("stage1_preact", "stage1_preact"),))
    >>> outputs, variables = connectors.init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs["stage1_preact"].shape
    (2, 4, 4, 5)
    """

    pairs: maps.Pairs

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> dict:
        where, outputs = type(self).__name__, {}
        maps.check_pairs(where, self.pairs)
        for pair in self.pairs:
            s, t = maps.feature_pair(where, student, teacher, pair)
            name, channels = pair[0], t.shape[-1]
            conv = layers.Conv(channels, 1, 1, s.dtype, name=f"{name}_conv")
            norm = blocks.norm(channels, f"{name}_norm")
            outputs[name] = layers.conv_norm(conv, norm, s, train)
        return outputs
