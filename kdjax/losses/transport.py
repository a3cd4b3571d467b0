"""Optimal transport between the classes that are not the label: WKD-L.

Lv, Yang, Li, "Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge
Distillation", NeurIPS 2024 (arXiv:2412.08139); facts from the public code of
JiamingLv/WKD. WKD-L = cross entropy + `normalised_target` + gamma
`wasserstein_nontarget`, without tau^2: CIFAR-100 tau = 8, gamma = 600 or 800 (cosine
decay from epoch 150); ImageNet tau = 2, gamma = 10.

    similarity = class_similarity(teacher_features, labels, classes)  # once, before
    cost = transport_cost(similarity)
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from kdjax import contracts
from kdjax.losses.decoupled import Labels
from kdjax.losses.grouped import at_label, check_pair
from kdjax.losses.maps import l2_normalise
from kdjax.losses.numerics import (
    LOWEST,
    AnyArray,
    Logits,
    PerSample,
    Scalar,
    Temperature,
    as_float32,
    column,
    soften,
)

_STEEPEST = 40.0  # the square of exp(-40) is a normal float32 number
_matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def wasserstein_nontarget(
    student_logits: Logits,
    teacher_logits: Logits,
    labels: Labels,
    temperature: Temperature,
    cost: Float[AnyArray, "classes classes"],
    regularisation: Scalar = 0.05,
    iterations: int = 10,
) -> PerSample:
    """Cost of moving the student's probabilities to the teacher's, the label left out.

        q' = softmax over k != y of s_k / tau,  p' of t_k / tau,  K = exp(-cost / r)
        u = 1 / (C - 1);  iterations times  v = p' / (K^T u),  u = q' / (K v)
        W = sum_ij u_i K_ij v_j cost_ij

    In units of the cost, from 0 to its largest entry; not 0 between equals, since r > 0
    spreads the plan. 0 with two classes and a cost of 0 on the diagonal. Computed in
    the log domain, exact where the authors' code adds 1e-8 to each divisor and to the
    cost; differentiated through the iterations. arXiv:2412.08139.

    Args:
      student_logits, teacher_logits: of two or more classes.
      labels: integers in 0..classes-1; NaN, gradient too, where a traced one is out of
        range, ValueError for a concrete one.
      temperature: as in `kl_divergence`.
      cost: >= 0, of the student's class (row) and the teacher's; see `transport_cost`.
        Entries above 40 r count as 40 r in K.
      regularisation: r, > 0.
      iterations: >= 1.

    >>> import numpy as np
    >>> s, t = np.float32([[0, 30, 0]]), np.float32([[0, 0, 30]])
    >>> print(wasserstein_nontarget(s, t, np.array([0]), 1.0, 1 - np.eye(3)).round(4))
    [1.]
    """
    name = "wasserstein_nontarget"
    classes = check_pair(name, student_logits, teacher_logits, temperature)
    label, valid = at_label(name, labels, student_logits)
    contracts.shapes(
        name,
        student_logits=(student_logits, "*batch classes"),
        cost=(cost, "classes classes"),
    )
    contracts.positive(name, "regularisation", regularisation)
    contracts.whole(name, "iterations", iterations, 1)
    tau = column(name, temperature, label.shape[:-1])

    def log_softmax(logits):
        hidden = jnp.where(label, -jnp.inf, as_float32(logits))
        return jnp.where(label, LOWEST, jax.nn.log_softmax(soften(hidden, tau)))

    log_u = jnp.where(label, LOWEST, -jnp.log(classes - 1.0))
    log_q, log_p = log_softmax(student_logits), log_softmax(teacher_logits)
    return valid * _sinkhorn(
        log_u, log_q, log_p, as_float32(cost), as_float32(regularisation), iterations
    )


def _sinkhorn(
    log_u: Float[Array, "*batch classes"],
    log_q: Float[Array, "*batch classes"],
    log_p: Float[Array, "*batch classes"],
    cost: Float[Array, "classes classes"],
    regularisation: Scalar,
    iterations: int,
) -> PerSample:
    kernel = jnp.exp(jnp.maximum(-cost / regularisation, -_STEEPEST))

    def scaled(log_x):
        """x divided by its largest, and the logarithm of that."""
        top = jax.lax.stop_gradient(jnp.max(log_x, axis=-1, keepdims=True))
        return jnp.exp(log_x - top), top  # no result depends on top

    def half(log_x, matrix):
        x, top = scaled(log_x)
        return top + jnp.log(_matmul(x, matrix))  # a sum >= the least of the kernel

    def step(carry, _):
        log_v = log_p - half(carry[0], kernel)
        return (log_q - half(log_v, kernel.T), log_v), None

    (_, log_v), _ = jax.lax.scan(step, (log_u, log_p), None, length=iterations)
    v, _ = scaled(log_v)  # with the last u put in: the plan's rows sum to q exactly
    mean_cost = _matmul(v, (kernel * cost).T) / _matmul(v, kernel.T)
    return jnp.sum(jnp.exp(log_q) * mean_cost, axis=-1)


def transport_cost(
    similarity: Float[AnyArray, "classes classes"], sharpness: Scalar = 1.0
) -> Float[Array, "classes classes"]:
    """Cost between classes from their similarity: 1 - exp(-k (1 - similarity)).

    From 0 (the same) to 1 - exp(-k) at similarity 0; never below 0. arXiv:2412.08139;
    k = 1 in the authors' configurations.

    >>> import numpy as np
    >>> print(transport_cost(np.eye(2)).round(4).tolist())
    [[0.0, 0.63209...], [0.63209..., 0.0]]
    """
    name = "transport_cost"
    contracts.shapes(name, similarity=(similarity, "classes classes"))
    contracts.positive(name, "sharpness", sharpness)
    distance = jnp.maximum(1.0 - as_float32(similarity), 0.0)
    return -jnp.expm1(-as_float32(sharpness) * distance)


def class_similarity(
    features: Float[AnyArray, "samples channels"],
    labels: Integer[np.ndarray, " samples"],
    classes: int,
) -> Float[Array, "classes classes"]:
    """Linear CKA between the features of every two classes, from 0 to 1.

        X_i: the first n features of class i, n the count of the rarest, column means
        taken off;   CKA_ij = ||X_j^T X_i||^2 / (||X_i^T X_i|| ||X_j^T X_j||)

    Frobenius norms. Rows are matched by their order within the class, as in the
    authors' code, which takes the teacher's logits on the training images, without
    augmentation, for CIFAR-100 (or its last feature map, every position a sample: the
    paper's choice of features is the caller's here). A class whose features are all
    equal has similarity 0 to others. 1 on the diagonal. arXiv:2412.08139.

    Args:
      features: of the teacher; not traced.
      labels: in 0..classes-1, one of each class at least, or ValueError; not traced.
      classes: 2 or more.

    >>> import numpy as np
    >>> x = np.float32([[1, 0], [-1, 0], [0, 2], [0, -2]])
    >>> print(class_similarity(x, np.array([0, 0, 1, 1]), 2).round(4).tolist())
    [[1.0, 1.0], [1.0, 1.0]]
    """
    name = "class_similarity"
    axes = contracts.shapes(
        name, features=(features, "samples channels"), labels=(labels, "samples")
    )
    contracts.whole(name, "classes", classes, 2)
    contracts.labels_in_range(name, labels, classes)
    labels = np.asarray(labels).astype(np.int64)
    enough = classes <= labels.size  # else counting them may take all memory
    count = np.bincount(labels, minlength=classes).min() if enough else 0
    if count == 0:
        raise ValueError(f"{name}: a class has no sample; expected one or more each.")
    rows = np.stack([np.flatnonzero(labels == i)[:count] for i in range(classes)])
    x = as_float32(features)[rows]
    x = x / jnp.maximum(jnp.max(jnp.abs(x), axis=(1, 2), keepdims=True), 1e-30)
    before = _length(x)
    x -= jnp.mean(x, axis=1, keepdims=True)
    varies = ~(_length(x) <= 1e-6 * before)  # else what is left is rounding
    x = jnp.where(varies, x / jnp.where(varies, _length(x), 1.0), 0.0)
    if count <= axes["channels"]:
        gram = _matmul(x, x.mT).reshape(classes, -1)
        hsic = _matmul(gram, gram.T)
    else:
        hsic = jax.lax.map(lambda y: jnp.sum(_matmul(x.mT, y) ** 2, axis=(1, 2)), x)
    norm = jnp.sqrt(jnp.diag(hsic))
    norm = norm[:, None] * norm[None]
    cka = jnp.where(norm <= 0, 0.0, hsic / jnp.where(norm <= 0, 1.0, norm))
    return jnp.where(jnp.eye(classes, dtype=bool), 1.0, cka)


def _length(x: Float[Array, "classes n channels"]) -> Float[Array, "classes 1 1"]:
    return jnp.sqrt(jnp.sum(x**2, axis=(1, 2), keepdims=True))


def classifier_similarity(
    kernel: Float[AnyArray, "channels classes"],
) -> Float[Array, "classes classes"]:
    """Cosines between the classes' weights in the teacher's last layer, from -1 to 1.

    The other source of costs in the code of JiamingLv/WKD (`COST_MATRIX: fc`), where no
    training images are at hand. A class whose weights are all 0 has cosine 0 to others.

    >>> import numpy as np
    >>> print(classifier_similarity(np.float32([[3, 0], [0, 2]])).tolist())
    [[1.0, 0.0], [0.0, 1.0]]
    """
    contracts.shapes("classifier_similarity", kernel=(kernel, "channels classes"))
    w = l2_normalise(as_float32(kernel), axis=0)
    return jnp.where(jnp.eye(w.shape[1], dtype=bool), 1.0, _matmul(w.T, w))
