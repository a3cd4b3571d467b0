"""Distances between feature maps: FitNets, AT, FT, ReviewKD, Jacobian matching.

Maps are [batch, height, width, channels]. Where student and teacher differ in height
and width, the larger map is pooled to the smaller (`same_size`).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.maps import (
    MAPS,
    OTHER_MAPS,
    Maps,
    OtherMaps,
    adaptive_average_pool,
    check_choice,
    flatten_samples,
    l2_normalise,
    same_size,
    sample_mean,
)
from kdjax.losses.numerics import AnyArray, PerSample, Scalar, as_float32, as_number


def _same_channels(where: str, student, teacher) -> tuple[Array, Array]:
    """Both in float32 and of one size; [batch, channels] is taken too."""
    vectors = "batch channels"
    contracts.shapes(where, student=(student, vectors, MAPS))
    if jnp.ndim(student) == 2:
        contracts.shapes(where, student=(student, vectors), teacher=(teacher, vectors))
        return as_float32(student), as_float32(teacher)
    contracts.shapes(where, student=(student, MAPS), teacher=(teacher, OTHER_MAPS))
    return same_size(student, teacher)


def feature_mean_squared_error(
    student: Maps | Float[AnyArray, "batch channels"],
    teacher: OtherMaps | Float[AnyArray, "batch channels"],
) -> PerSample:
    """Mean squared error of features: the loss of FitNets, SimKD and CAT-KD.

        1/(H W C) sum_hwc (s_hwc - t_hwc)^2

    Romero et al. 2015 (arXiv:1412.6550), equation 3, which has half of the sum in place
    of the mean; the mean is that of the public code of RepDistiller, SimKD and CAT-KD,
    and their weights and published numbers belong to it.

    Args:
      student: [batch, height, width, channels] after its regressor, or pooled, [batch,
        channels].
      teacher: of as many channels; maps of another size are brought to one size.

    >>> import numpy as np
    >>> student, teacher = np.zeros((1, 2, 2, 3)), np.full((1, 2, 2, 3), 2.0)
    >>> print(feature_mean_squared_error(student, teacher))
    [4.]
    """
    s, t = _same_channels("feature_mean_squared_error", student, teacher)
    return sample_mean((s - t) ** 2)


def attention_transfer(
    student: Maps,
    teacher: Float[AnyArray, "batch height2 width2 channels2"],
    power: Scalar = 2.0,
    form: str = "repdistiller",
) -> PerSample:
    """Attention transfer (AT): squared distance of normalised attention maps.

        Q(F)_hw = mean_c |F_hwc|^power,   q = Q / ||Q||_2 over the H W positions
        form "repdistiller": 1/(H W) sum_hw (q^s_hw - q^t_hw)^2
        form "paper":        ||q^s - q^t||_2

    Zagoruyko, Komodakis 2017 (arXiv:1612.03928), equation 2; the authors' code and
    RepDistiller have the first form, and the published numbers and the weight 1000 of
    RepDistiller's table belong to it. The sum over levels is the caller's. Channels may
    differ. The attention of a map of zeros is 0; the gradient is finite at equal maps.

    Args:
      student: [batch, height, width, channels].
      teacher: [batch, height, width, channels]; another size is brought to one size.
      power: from 1.
      form: "repdistiller" or "paper".

    >>> import numpy as np
    >>> student = np.float32([1, 0]).reshape(1, 1, 2, 1)
    >>> print(attention_transfer(student, student[:, :, ::-1]))
    [1.]
    """
    where = "attention_transfer"
    check_choice(where, "form", form, ("repdistiller", "paper"))
    contracts.number(where, "power", power, 1.0)
    student, teacher = same_size(student, teacher)
    d = _attention(student, power) - _attention(teacher, power)
    if form == "repdistiller":
        return jnp.mean(d * d, axis=-1)
    square = jnp.sum(d * d, axis=-1)
    distinct = ~(square <= 0)
    return jnp.where(distinct, jnp.sqrt(jnp.where(distinct, square, 1.0)), 0.0)


def _attention(maps: Array, power: Scalar = 2.0) -> Float[Array, "batch positions"]:
    square = not contracts.is_traced(power) and np.asarray(power) == 2
    energy = maps * maps if square else jnp.abs(maps) ** as_number(power)
    return l2_normalise(flatten_samples(jnp.mean(energy, axis=-1)))


def factor_transfer(
    student: Maps,
    teacher: OtherMaps,
    form: str = "repdistiller",
) -> PerSample:
    """Factor transfer (FT): absolute distance of normalised factors.

        form "repdistiller": 1/(H W) sum_hw |q^s_hw - q^t_hw|,
                             q = Q / ||Q||_2, Q_hw = mean_c F_hwc^2
        form "paper":        sum_hwc |s_hwc / ||s||_2 - t_hwc / ||t||_2|

    Kim, Park, Kwak 2018 (arXiv:1802.04977), the loss between the paraphraser's and the
    translator's factors with p = 1; divided by H W C it is what several public copies
    compute. RepDistiller compares attention maps of the factors: the published numbers
    and the weight 200 of its table belong to that form. A map of zeros stays 0.

    Args:
      student: the translator's factor, [batch, height, width, channels].
      teacher: the paraphraser's; another size is brought to one size.
      form: "repdistiller" or "paper".

    >>> import numpy as np
    >>> student = np.float32([1, 0]).reshape(1, 1, 2, 1)
    >>> print(factor_transfer(student, student[:, :, ::-1]))
    [1.]
    """
    where = "factor_transfer"
    check_choice(where, "form", form, ("repdistiller", "paper"))
    s, t = _same_channels(where, student, teacher)
    if form == "repdistiller":
        return jnp.mean(jnp.abs(_attention(s) - _attention(t)), axis=-1)
    s, t = l2_normalise(flatten_samples(s)), l2_normalise(flatten_samples(t))
    return jnp.sum(jnp.abs(s - t), axis=-1)


def hierarchical_context(
    student: Maps | Float[AnyArray, "batch channels"],
    teacher: OtherMaps | Float[AnyArray, "batch channels"],
) -> PerSample:
    """Hierarchical context loss (HCL) of ReviewKD on one level.

        (m_0 + 1/2 m_1 + 1/4 m_2 + ...) / (1 + 1/2 + 1/4 + ...)

    m_0 is the mean squared error of the maps, m_1, m_2, ... of the maps pooled to 4x4,
    2x2 and 1x1, of which only those smaller than the map are there: a 4x4 map has 2x2
    with 1/2 and 1x1 with 1/4. On a map of 1x1 and on pooled features it is m_0.

    Chen et al. 2021 (arXiv:2104.09044), section 3.3, as in the public code of ReviewKD
    and mdistiller, which the published numbers belong to. The sum over levels and the
    warm-up are the caller's.

    Args:
      student: [batch, height, width, channels] after fusion, or [batch, channels].
      teacher: of as many channels; maps of another size are brought to one size.

    >>> import numpy as np
    >>> student = np.float32([1, -1, 1, -1]).reshape(1, 2, 2, 1)
    >>> print(hierarchical_context(student, np.zeros((1, 2, 2, 1))).round(4))
    [0.6667]
    """
    s, t = _same_channels("hierarchical_context", student, teacher)
    d = s - t
    loss, weight, total = sample_mean(d * d), 1.0, 1.0
    sizes = [n for n in (4, 2, 1) if d.ndim == 4 and n < min(d.shape[1:3])]
    for n in sizes:
        weight /= 2
        total += weight
        loss += weight * sample_mean(adaptive_average_pool(d, n, n) ** 2)
    return loss / total


def input_gradient_matching(
    student_gradient: Float[AnyArray, "batch height width channels"],
    teacher_gradient: Float[AnyArray, "batch height width channels"],
) -> PerSample:
    """Jacobian matching: squared distance of normalised gradients on the image.

        1/(H W C) ||g^s / ||g^s||_2 - g^t / ||g^t||_2||^2,  g = d z_y / d image

    Srinivas, Fleuret 2018 (arXiv:1803.00443) and Czarnecki et al. 2017 (arXiv:
    1706.04859), with the logit of the true class, as in the public code of
    Knowledge-Distillation-Zoo (`sobolev.py`): a mean over the image's entries, where
    the papers sum. Up to 4 / (H W C). A gradient of zeros stays 0.

    Args:
      student_gradient: of the student's logit with respect to the image; training
        takes its derivative once more.
      teacher_gradient: the teacher's, of the same images.

    >>> import numpy as np
    >>> student = np.float32([3, 0]).reshape(1, 1, 2, 1)
    >>> print(input_gradient_matching(student, student[:, :, ::-1]))
    [1.]
    """
    contracts.shapes(
        "input_gradient_matching",
        student_gradient=(student_gradient, MAPS),
        teacher_gradient=(teacher_gradient, MAPS),
    )
    s = l2_normalise(flatten_samples(as_float32(student_gradient)))
    t = l2_normalise(flatten_samples(as_float32(teacher_gradient)))
    return jnp.mean((s - t) ** 2, axis=-1)
