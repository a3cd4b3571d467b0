"""Which batch norm comes before a feature, read off a network's parameters."""

import re
from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.models.mobilenet_v2 import HALF_FEATURES
from kdjax.types import PyTree


def norm_before(params: PyTree, feature: str) -> tuple:
    """(scale, bias), each [channels], of the batch norm that a feature comes out of.

    Of the networks here, for features before their ReLU, "stage1_preact" and so on:

        resnet, MobileNetV1, ShuffleNetV1   the last norm of the stage's last block; a
                                            residual sum has more than it in it
        wide_resnet                         the norm that reads the stage next
        vgg                                 the norm of the stage's last block
        mobilenet_v2_half                   the last norm of the stage's last block,
                                            which nothing rectifies
        MobileNetV2, ShuffleNetV2           "last_preact" alone

    and of any network a norm called as the feature is: "stage1_norm" for
    "stage1_preact". With residual sums this is what the public codes of OFD take.

    Args:
      params: of the network.
      feature: a name of `Outputs.features` that ends in "_preact".

    Raises:
      InputError: no such norm; it says which features have one.

    >>> import jax, jax.numpy as jnp
    >>> from kdjax.models import create
    >>> images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    >>> network = create("resnet8", num_classes=10)
    >>> params, _ = jax.eval_shape(network.init, jax.random.key(0), images)
    >>> [array.shape for array in norm_before(params, "stage2_preact")]
    [(32,), (32,)]
    """
    norm = _find(params, feature)
    if norm is None:
        have = [name for name in _candidates(params) if _find(params, name)]
        raise InputError(
            f"norm_before: the network has no batch norm of its own before {feature!r};"
            f" expected one of {', '.join(have) or 'none of its features'}, or a "
            "network of the families resnet, wide_resnet, vgg, MobileNet and "
            "ShuffleNetV1, or a batch norm called stage1_norm for stage1_preact."
        )
    return norm["scale"], norm["bias"]


def _candidates(params: Mapping) -> list[str]:
    stages = {name.split("_")[0] for name in params if name.startswith("stage")}
    return [f"{name}_preact" for name in (*sorted(stages), "last")]


def _find(params: Mapping, feature: str) -> Mapping | None:
    stage = feature.removesuffix("_preact")
    if stage == feature:
        return None
    if f"{stage}_norm" in params:
        return _norm(params, f"{stage}_norm")
    match = re.fullmatch(r"stage(\d+)", stage)
    if match is None:
        return None
    number = int(match.group(1))
    if "norm" in params:  # a wide network's: the last one of all
        following = params.get(f"stage{number + 1}_block1")
        own = _last_block(params, number)
        return _norm(following or {}, "norm1") or (own and _norm(params, "norm"))
    if "last_norm" in params:  # MobileNetV2, by rows, and ShuffleNetV2
        if not _is_half(params):
            return None
        number = dict(enumerate(HALF_FEATURES, start=1)).get(number, 0)
    block = _last_block(params, number) or {}
    names = [name for name in block if re.fullmatch(r"norm\d*", name)]
    return _norm(block, max(names)) if names else None


def _is_half(params: Mapping) -> bool:
    """MobileNetV2's first block expands at half width alone; ShuffleNetV2 has conv5."""
    first = params.get("stage1_block1", {})
    return "conv3" in first and "conv5" not in first


def _last_block(params: Mapping, stage: int) -> Mapping | None:
    pattern = re.compile(rf"stage{stage}_block(\d+)")
    matches = filter(None, map(pattern.fullmatch, params))
    names = {int(match.group(1)): match.group() for match in matches}
    return params[names[max(names)]] if names else None


def _norm(params: Mapping, name: str) -> Mapping | None:
    norm = params.get(name)
    return norm if norm is not None and {"scale", "bias"} <= set(norm) else None
