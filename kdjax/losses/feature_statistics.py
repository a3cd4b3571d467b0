"""Products of features within a sample: NST, FSP and similarities of patches."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.logits import kl_divergence
from kdjax.losses.maps import (
    EXACT,
    MAPS,
    Maps,
    flatten_positions,
    l2_normalise,
    same_size,
    sample_mean,
)
from kdjax.losses.numerics import AnyArray, PerSample, Temperature, as_float32

TeacherMaps = Float[AnyArray, "batch height2 width2 channels2"]


def neuron_selectivity(student: Maps, teacher: TeacherMaps) -> PerSample:
    """Neuron selectivity transfer (NST): squared MMD between channels' spatial maps.

        mean_cc' k(t_c, t_c') + mean_cc' k(s_c, s_c') - 2 mean_cc' k(s_c, t_c')

    k(a, b) = (a . b)^2 of maps normalised over the positions. From 0 to 2. A channel of
    zeros stays 0. The first part, the teacher's, is a constant to the student.

    Huang, Wang 2017 (arXiv:1707.01219), with the polynomial kernel of degree 2 and
    offset 0, as in the public code of RepDistiller and mdistiller, which the
    published numbers belong to. The sum over levels is the caller's.

    Args:
      student: [batch, height, width, channels].
      teacher: of any number of channels; another size is brought to one size.

    >>> import numpy as np
    >>> student = np.float32([1, 0]).reshape(1, 1, 2, 1)
    >>> print(neuron_selectivity(student, student[:, :, ::-1]))
    [2.]
    """
    s, t = same_size(student, teacher)
    s = l2_normalise(flatten_positions(s), axis=1)
    t = l2_normalise(flatten_positions(t), axis=1)

    def kernel(a, b):
        dots = jnp.einsum("bpc,bpd->bcd", a, b, precision=EXACT)
        return sample_mean(dots * dots)

    return kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)


def flow_matrix(
    first: Maps, second: TeacherMaps
) -> Float[Array, "batch channels channels2"]:
    """FSP matrix: the Gram matrix of two layers' maps, averaged over the positions.

        G_cd = 1/(H W) sum_hw F^1_hwc F^2_hwd

    Yim et al. 2017 (CVPR, "A Gift from Knowledge Distillation"), equation 1.

    Args:
      first: [batch, height, width, channels] of one layer.
      second: of a later one; the larger of the two is pooled to the smaller.

    >>> import numpy as np
    >>> first, second = np.ones((1, 4, 4, 2)), np.full((1, 2, 2, 3), 5.0)
    >>> print(flow_matrix(first, second)[0])
    [[5. 5. 5.]
     [5. 5. 5.]]
    """
    first, second = same_size(first, second)
    positions = first.shape[1] * first.shape[2]
    gram = jnp.einsum("bhwc,bhwd->bcd", first, second, precision=EXACT)
    return gram / positions


def flow_of_solution(
    student_first: Float[AnyArray, "batch h1 w1 first"],
    student_second: Float[AnyArray, "batch h2 w2 second"],
    teacher_first: Float[AnyArray, "batch h3 w3 first"],
    teacher_second: Float[AnyArray, "batch h4 w4 second"],
) -> PerSample:
    """Flow of solution procedure (FSP): mean squared error of two FSP matrices.

        1/(C_1 C_2) sum_cd (G^s_cd - G^t_cd)^2

    Yim et al. 2017 (CVPR, "A Gift from Knowledge Distillation"), equation 2, with the
    mean over entries of RepDistiller's code, which the published numbers
    belong to; the paper sums them. The sum over levels is the caller's.

    Args:
      student_first: [batch, height, width, channels] of one layer of the student.
      student_second: of a later layer.
      teacher_first: of as many channels as `student_first`, of any size.
      teacher_second: of as many channels as `student_second`, of any size.

    >>> import numpy as np
    >>> one, two = np.ones((1, 2, 2, 3)), np.full((1, 2, 2, 3), 2.0)
    >>> print(flow_of_solution(one, one, one, two))
    [1.]
    """
    contracts.shapes(
        "flow_of_solution",
        student_first=(student_first, "batch a b first_channels"),
        student_second=(student_second, "batch c d second_channels"),
        teacher_first=(teacher_first, "batch e f first_channels"),
        teacher_second=(teacher_second, "batch g h second_channels"),
    )
    student = flow_matrix(student_first, student_second)
    d = student - flow_matrix(teacher_first, teacher_second)
    return sample_mean(d * d)


def patch_similarity(
    student: Maps, teacher: TeacherMaps, temperature: Temperature = 0.07
) -> PerSample:
    """KL divergence between similarities of the patches within an image.

        A_pq = <f_p, f_q> of features normalised over the channels, at positions p, q
        1/P sum_p KL(softmax(A^t_p / tau) || softmax(A^s_p / tau))

    The student's map is resized to the teacher's grid first, bilinear with half-pixel
    centres and without antialiasing. Nats, not times tau^2. A position of zeros has
    similarity 0 with all. As in the public code of lightly-train (distillation v3, the
    local part), which projects the student to the teacher's channels; that is the
    caller's.

    Args:
      student: [batch, height, width, channels], of any size and channels.
      teacher: [batch, height, width, channels].
      temperature: tau of both; a number, a scalar array or [batch]; > 0, finite.

    >>> import numpy as np
    >>> student = np.float32([[1, 0], [1, 0]]).reshape(1, 1, 2, 2)
    >>> teacher = np.float32([[1, 0], [0, 1]]).reshape(1, 1, 2, 2)
    >>> print(patch_similarity(student, teacher, 1.0).round(4))
    [0.1109]
    """
    axes = contracts.shapes(
        "patch_similarity",
        student=(student, MAPS),
        teacher=(teacher, "batch height2 width2 channels2"),
        temperature=(temperature, "", "batch"),
    )
    height, width = axes["height2"], axes["width2"]
    student = as_float32(student)
    if student.shape[1:3] != (height, width):
        shape = (axes["batch"], height, width, axes["channels"])
        student = jax.image.resize(student, shape, "bilinear", antialias=False)
    s, t = _similarities(student), _similarities(as_float32(teacher))
    if jnp.ndim(temperature):
        temperature = jnp.repeat(as_float32(temperature), height * width)
    kl = kl_divergence(s, t, temperature)
    return jnp.mean(kl.reshape(axes["batch"], height * width), axis=-1)


def _similarities(maps: Array) -> Float[Array, "rows positions"]:
    x = l2_normalise(flatten_positions(maps))
    a = jnp.einsum("bpc,bqc->bpq", x, x, precision=EXACT)
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2])
