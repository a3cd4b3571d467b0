"""WKD-F's projector."""

import jax
from flax import linen as nn

from kdjax.models.connectors import blocks, maps
from kdjax.models.connectors.regressor import Regressor, sides
from kdjax.types import Outputs


class WassersteinProjector(nn.Module):
    """WKD-F: the student's map in the teacher's shape, before the moments are compared.

    form="conv1x1" is the regressor of `HintRegressors`: the public configurations for
    CIFAR-100 have it. form="bottleneck" is 1x1, 3x3 and 1x1 convolution, with biases
    and nothing between them, batch norm and ReLU: those for ImageNet have it. It needs
    maps of equal sides. PyTorch's default initialisation.
    Lv et al., arXiv 2412.08139, and the public code of WKD.

    Attributes:
      student, teacher: names of the features, maps [b, h, w, c].
      form: "conv1x1" or "bottleneck".
      width: channels inside the bottleneck.

    Returns:
      [b, h, w, c] as the teacher's map, not negative.

    Raises:
      ValueError: unknown form; no such feature; sides that the form cannot reach.

    >>> import jax.numpy as jnp
    >>> student = Outputs(None, {"stage3": jnp.ones((2, 4, 4, 3))})
    >>> teacher = Outputs(None, {"stage3": jnp.ones((2, 4, 4, 5))})
    >>> outputs, variables = WassersteinProjector().init_with_output(
    ...     jax.random.key(0), student, teacher, True)
    >>> outputs.shape
    (2, 4, 4, 5)
    """

    student: str = "stage3"
    teacher: str = "stage3"
    form: str = "conv1x1"
    width: int = 256

    @nn.compact
    def __call__(self, student: Outputs, teacher: Outputs, train: bool) -> jax.Array:
        where, pair = type(self).__name__, (self.student, self.teacher)
        if self.form not in ("conv1x1", "bottleneck"):
            expected = "'conv1x1' or 'bottleneck'"
            raise ValueError(f"{where}: form is {self.form!r}; expected {expected}.")
        s, t = maps.feature_pair(where, student, teacher, pair)
        if self.form == "conv1x1":
            regressor = Regressor(where, t.shape[1:], name="regressor")
            return nn.relu(regressor(s, train))
        if s.shape[1:3] != t.shape[1:3]:
            raise ValueError(
                f"{where}: the student's map is {sides(s.shape[1:])}, the teacher's "
                f"{sides(t.shape[1:])}; form='bottleneck' needs equal sides."
            )
        x = blocks.Conv(self.width, name="conv1")(s)
        x = blocks.Conv(self.width, (3, 3), pad=1, name="conv2")(x)
        x = blocks.Conv(t.shape[-1], name="conv3")(x)
        return nn.relu(blocks.norm(t.shape[-1], "norm")(x, train))
