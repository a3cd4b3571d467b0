"""Relations between the samples of a batch: SP, CC, RKD and PKT.

Each takes features of both networks and a mask `where` of the samples that count: the
loss is that of the sub-batch of n samples with where > 0, in which pairs with others do
not exist. v_i is 0 for the others, and (1/n) sum_i v_i is the published value, so that
without a mask the batch mean is. With n = 0 the values and gradients are 0.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts
from kdjax.losses.maps import flatten_samples
from kdjax.losses.numerics import AnyArray, PerSample, Scalar, as_number
from kdjax.losses.subset import Samples, Subset, subset, unit

Features = Float[AnyArray, "batch channels"]
Student = Float[AnyArray, "batch student_channels"]
StudentMaps = Float[AnyArray, "batch student_height student_width student_channels"]
Teacher = Float[AnyArray, "batch teacher_channels"]
TeacherMaps = Float[AnyArray, "batch teacher_height teacher_width teacher_channels"]

# Float32 also where the default is fewer bits: relations are differences of products.
_EXACT = jax.lax.Precision.HIGHEST


def similarity_preserving(
    student_features: Student | StudentMaps,
    teacher_features: Teacher | TeacherMaps,
    where: Samples = None,
) -> PerSample:
    """Similarity-preserving distillation (SP): squared distance of Gram matrices.

        G = F F^T, each row divided by its length,   F flattened to [batch, -1]
        v_i = (1/n) sum_j (G_t,ij - G_s,ij)^2,   mean over i = ||G_t - G_s||^2 / n^2

    F. Tung, G. Mori, ICCV 2019 (arXiv:1907.09682), as in RepDistiller (weight 3000).
    From 0 to 4 / n. A zero feature vector has a row of zeros, with a zero gradient.

    Args:
      student_features: a map or pooled; channels and grid may differ from the
        teacher's.
      teacher_features: of the same samples.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student, teacher = np.float32([[1, 0], [0, 1]]), np.float32([[1, 0], [1, 0]])
    >>> print(similarity_preserving(student, teacher).round(4))
    [0.2929 0.2929]
    """
    counted = _chosen(
        "similarity_preserving", student_features, teacher_features, where
    )

    def gram(features):
        x = flatten_samples(counted.keep(features))
        return unit(jnp.matmul(x, x.T, precision=_EXACT))

    gap = gram(teacher_features) - gram(student_features)
    return jnp.sum(gap * gap, axis=1) / counted.mean_over


def correlation_congruence(
    student_embedding: Features, teacher_embedding: Features, where: Samples = None
) -> PerSample:
    """Correlation congruence (CC) in the form of RepDistiller's public code.

        D_i = |s_i - t_i| elementwise
        v_i = n / (n - 1) <D_i, D_next(i)>,   next(i): the following selected sample

    The last selected sample has v = 0; the mean over i is that of the n - 1 products of
    neighbours. B. Peng et al., ICCV 2019 (arXiv:1904.01802), compare the matrices of
    Gaussian kernels of both networks; the published 13 pairs (weight 0.02) belong to
    the form here, which its author gave. >= 0; it depends on the order of the batch.

    Args:
      student_embedding: [batch, channels], of a trained linear layer (128 channels).
      teacher_embedding: of the same shape, of a second one.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student, teacher = np.float32([[1], [5], [3]]), np.zeros((3, 1), np.float32)
    >>> print(correlation_congruence(student, teacher, np.array([1, 0, 1])))
    [6. 0. 0.]
    """
    axes = contracts.shapes(
        "correlation_congruence",
        student_embedding=(student_embedding, "batch channels"),
        teacher_embedding=(teacher_embedding, "batch channels"),
    )
    counted = subset("correlation_congruence", where, axes["batch"])
    delta = jnp.abs(counted.keep(student_embedding) - counted.keep(teacher_embedding))
    batch = len(counted.mask)
    at = jnp.where(counted.mask, jnp.arange(batch), batch)
    following = jax.lax.cummin(at, reverse=True)[1:]
    following = jnp.append(following, batch)  # batch: there is none
    paired = counted.mask & (following < batch)
    last = jnp.zeros((1, axes["channels"]))  # of the row `batch`; there may be no other
    product = jnp.sum(delta * jnp.concatenate([delta, last])[following], axis=-1)
    scale = counted.count / jnp.maximum(counted.count - 1.0, 1.0)
    return jnp.where(paired, scale * product, 0.0)


def relational_distance(
    student_features: Student, teacher_features: Teacher, where: Samples = None
) -> PerSample:
    """RKD by distances: each pair's, in units of the mean distance of the batch.

        d_ij = ||x_i - x_j|| / mean distance over the n (n - 1) pairs
        v_i = (1/n) sum_j h(d_s,ij - d_t,ij),   h(x) = x^2 / 2, or |x| - 1/2 if |x| > 1

    W. Park et al., CVPR 2019 (arXiv:1904.05068), distance-wise loss. As in RepDistiller
    the mean runs over all n^2 entries, zero diagonal included; its weight is 25 beside
    50 for angles. The gradient flows through the mean distance. Two equal samples are
    at a distance of 1e-6, with a zero gradient; with n = 1 the value is 0.

    Args:
      student_features: pooled; channels may differ from the teacher's.
      teacher_features: of the same samples.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student, teacher = np.float32([[0], [1], [2]]), np.float32([[0], [3], [4]])
    >>> print(relational_distance(student, teacher).round(4))
    [0.0234 0.0469 0.0234]
    """
    counted = _pooled("relational_distance", student_features, teacher_features, where)
    gap = _distances(student_features, counted) - _distances(teacher_features, counted)
    return jnp.sum(_smooth_l1(gap), axis=1) / counted.mean_over


def relational_angle(
    student_features: Student, teacher_features: Teacher, where: Samples = None
) -> PerSample:
    """RKD by angles: the cosine of each triplet, in the vertex i.

        c_ijk = <e_ij, e_ik>,   e_ij = (x_j - x_i) / ||x_j - x_i||
        v_i = (1/n^2) sum_jk h(c_s,ijk - c_t,ijk),   h as in `relational_distance`

    W. Park et al., CVPR 2019 (arXiv:1904.05068), angle-wise loss. The mean over i is
    that over all n^3 entries, degenerate ones included, as in RepDistiller (weight 50).
    From 0 to 1.5. Between equal samples e is 0, with a zero gradient. Memory: batch^2
    (batch + channels) floats.

    Args:
      student_features: pooled; channels may differ from the teacher's.
      teacher_features: of the same samples.
      where: > 0 for the samples that count; None for all.

    >>> import numpy as np
    >>> student = np.float32([[0, 0], [1, 0], [0, 1]])
    >>> teacher = np.float32([[0, 0], [1, 0], [2, 0]])
    >>> print(np.asarray(relational_angle(student, teacher), float).round(4))
    [0.1111 0.2682 0.0095]
    """
    counted = _pooled("relational_angle", student_features, teacher_features, where)
    gap = _cosines(student_features, counted) - _cosines(teacher_features, counted)
    return jnp.sum(_smooth_l1(gap), axis=(1, 2)) / counted.mean_over**2


def probabilistic_knowledge(
    student_features: Student,
    teacher_features: Teacher,
    where: Samples = None,
    eps: Scalar = 1e-7,
) -> PerSample:
    """Probabilistic knowledge transfer (PKT): a divergence of similarities.

        P_ij = k_ij / sum_j k_ij,   k_ij = (cosine(x_i, x_j) + 1) / 2
        v_i = (1/n) sum_j P_t,ij log((P_t,ij + eps) / (P_s,ij + eps))

    N. Passalis, A. Tefas, ECCV 2018 (arXiv:1803.10837), cosine kernel; the diagonal is
    included and the mean runs over the n^2 entries, as in its author's code, to
    which the published 13 pairs (weight 30000) belong; the paper sums over pairs of
    different samples. A
    cosine divides by length + eps; that with a zero vector is 0, with a zero gradient.

    Args:
      student_features: pooled; channels may differ from the teacher's.
      teacher_features: of the same samples.
      where: > 0 for the samples that count; None for all.
      eps: > 0.

    >>> import numpy as np
    >>> student, teacher = np.float32([[1, 0], [0, 1]]), np.float32([[1, 0], [1, 0]])
    >>> print(probabilistic_knowledge(student, teacher).round(4))
    [0.0294 0.0294]
    """
    name = "probabilistic_knowledge"
    counted = _pooled(name, student_features, teacher_features, where)
    contracts.positive(name, "eps", eps)
    eps = as_number(eps)
    p = _similarities(teacher_features, counted, eps)
    q = _similarities(student_features, counted, eps)
    # Rows of p and q have the same sum, so the first-order parts of p log(p/q) cancel;
    # `_excess` leaves them out, with log(q/p) from the difference where they are close.
    r = (q - p) / (p + eps)
    close = jnp.abs(r) < 0.5
    log_ratio = jnp.where(
        close,
        jnp.log1p(jnp.where(close, r, 0.0)),
        jnp.log(q + eps) - jnp.log(p + eps),
    )
    terms = _excess(p + eps, log_ratio, q + eps) + eps * log_ratio
    both = counted.mask[:, None] & counted.mask[None, :]
    return jnp.sum(jnp.where(both, terms, 0.0), axis=1) / counted.mean_over


def _chosen(name: str, student, teacher, where) -> Subset:
    grid = "batch {0}_height {0}_width {0}_channels"
    axes = contracts.shapes(
        name,
        student_features=(student, "batch student_channels", grid.format("student")),
        teacher_features=(teacher, "batch teacher_channels", grid.format("teacher")),
    )
    return subset(name, where, axes["batch"])


def _pooled(name: str, student, teacher, where) -> Subset:
    contracts.shapes(
        name,
        student_features=(student, "batch student_channels"),
        teacher_features=(teacher, "batch teacher_channels"),
    )
    return _chosen(name, student, teacher, where)


def _smooth_l1(x: Array) -> Array:
    inner = jnp.minimum(jnp.abs(x), 1.0)
    return inner * (jnp.abs(x) - 0.5 * inner)


def _differences(features: Features, counted: Subset) -> Float[Array, "i j channels"]:
    x = counted.keep(features)
    return x[None, :, :] - x[:, None, :]


def _distances(features: Features, counted: Subset) -> Float[Array, "i j"]:
    """In units of their mean; 0 on the diagonal and for what is not selected."""
    pairs = counted.pairs()
    square = jnp.sum(_differences(features, counted) ** 2, axis=-1)
    distinct = pairs & ~(square <= 1e-12)  # NaN is not equal either
    distance = jnp.where(distinct, jnp.sqrt(jnp.where(distinct, square, 1.0)), 1e-6)
    distance = jnp.where(pairs, distance, 0.0)
    many = counted.count > 1
    mean = jnp.sum(distance) / jnp.where(many, counted.count * (counted.count - 1), 1.0)
    return distance / jnp.where(many, mean, 1.0)


def _cosines(features: Features, counted: Subset) -> Float[Array, "i j k"]:
    e = jnp.where(
        counted.pairs()[:, :, None], unit(_differences(features, counted)), 0.0
    )
    return jnp.einsum("ijc,ikc->ijk", e, e, precision=_EXACT)


def _similarities(features: Features, counted: Subset, eps) -> Float[Array, "i j"]:
    """Rows sum to 1 over what is selected; all others are 0."""
    x = unit(counted.keep(features), eps=eps)
    k = (jnp.matmul(x, x.T, precision=_EXACT) + 1.0) / 2.0
    k = jnp.where(counted.mask[:, None] & counted.mask[None, :], k, 0.0)
    total = jnp.sum(k, axis=1, keepdims=True)
    return k / jnp.where(total > 0, total, 1.0)


def _excess(weight: Array, x: Array, weight_exp_x: Array) -> Array:
    """weight * (exp(x) - 1 - x), never negative, with all digits for any x.

    `weight_exp_x` is weight * exp(x), which the caller has without overflow; it is read
    where x is large, because there weight may be 0 while the product is not.
    """
    small, large = jnp.abs(x) < 0.5, x > 8.0
    # Double where: the branch not taken sees a harmless x, so its derivative is finite.
    z = jnp.where(small, x, 0.0)
    series = 1.0
    for n in range(9, 2, -1):  # x^2/2 (1 + x/3 (1 + x/4 (...))), next term below 1e-8
        series = 1.0 + z / n * series
    series = 0.5 * z * z * series
    z = jnp.where(large, 0.0, x)
    middle = weight * jnp.where(small, series, jnp.expm1(z) - z)
    return jnp.where(large, weight_exp_x - weight * (1.0 + x), middle)
