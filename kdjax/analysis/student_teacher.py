"""What a finished student has in common with its teacher, in float64 NumPy.

The quantities in which Kim et al. 2021 (arXiv:2105.08919) compare KL with MSE. With
d = student logits - teacher logits over K classes,

    tau^2 KL  ->  ||d||^2 / 2K  -  (sum_j d_j)^2 / 2K^2      for tau -> infinity,

which are `logit_matching`, `half_mean_square` and `delta_infinity`. So KL at infinite
temperature leaves the mean of d free, `logit_mean_gap`; MSE does not.

Each function takes logits [n, classes] of both and gives one number a sample, [n]; it
raises ValueError where shapes disagree or a number is not finite.
"""

from typing import Any

import numpy as np

from kdjax import contracts

QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}


def logit_distance(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """Euclidean distance between the logits, ||d||; its density is the paper's figure.

    >>> logit_distance([[3.0, 1.0]], [[0.0, 5.0]])
    array([5.])
    """
    d = _difference("logit_distance", student_logits, teacher_logits)
    return np.linalg.norm(d, axis=-1)


def half_mean_square(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """Half the mean square difference of the logits: ||d||^2 / 2K.

    >>> half_mean_square([[3.0, 1.0]], [[0.0, 5.0]])
    array([6.25])
    """
    d = _difference("half_mean_square", student_logits, teacher_logits)
    return 0.5 * np.mean(d**2, axis=-1)


def delta_infinity(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """KL at infinite temperature minus MSE: -(sum_j d_j)^2 / 2K^2 <= 0.

    >>> delta_infinity([[3.0, 1.0]], [[0.0, 5.0]])
    array([-0.125])
    """
    d = _difference("delta_infinity", student_logits, teacher_logits)
    return -0.5 * np.mean(d, axis=-1) ** 2


def logit_matching(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """Exact limit of tau^2 KL: half the population variance of d over classes.

    `half_mean_square + delta_infinity`; in float64 what `losses.limits.logit_matching`
    is in float32.

    >>> logit_matching([[3.0, 1.0]], [[0.0, 5.0]])
    array([6.125])
    """
    d = _difference("logit_matching", student_logits, teacher_logits)
    return 0.5 * np.var(d, axis=-1)


def logit_mean_gap(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """How far the student's mean logit is above the teacher's: mean_j d_j.

    >>> logit_mean_gap([[3.0, 1.0]], [[0.0, 5.0]])
    array([-0.5])
    """
    d = _difference("logit_mean_gap", student_logits, teacher_logits)
    return np.mean(d, axis=-1)


# The order is that of the keys of `summary`.
QUANTITIES = (
    logit_distance,
    half_mean_square,
    delta_infinity,
    logit_matching,
    logit_mean_gap,
)


def agreement(student_logits: Any, teacher_logits: Any) -> np.ndarray:
    """Whether student and teacher predict the same class, bool; ties: lowest index.

    >>> agreement([[3.0, 1.0]], [[0.0, 5.0]])
    array([False])
    """
    student, teacher = _pair("agreement", student_logits, teacher_logits)
    return np.argmax(student, axis=-1) == np.argmax(teacher, axis=-1)


def feature_norms(features: Any) -> np.ndarray:
    """Euclidean norms of penultimate features [n, dim].

    >>> feature_norms([[3.0, 4.0]])
    array([5.])
    """
    contracts.shapes("feature_norms", features=(features, "n dim"))
    return np.linalg.norm(finite("feature_norms", "features", features), axis=-1)


def summary(
    student_logits: Any,
    teacher_logits: Any,
    *,
    student_features: Any = None,
    teacher_features: Any = None,
) -> dict[str, float]:
    """Mean and quantiles of all the above over the samples.

    Args:
      student_logits: [n, classes].
      teacher_logits: [n, classes].
      student_features: [n, dim]; adds student_feature_norm.
      teacher_features: [n, other dim]; adds teacher_feature_norm.

    Returns:
      "<quantity>/mean", "/q05", "/median" and "/q95" of every quantity; agreement in
      percent; count.

    >>> result = summary([[3.0, 1.0], [1.0, 0.0]], [[0.0, 5.0], [1.0, 0.0]])
    >>> result["agreement"], result["logit_distance/mean"], result["logit_distance/q95"]
    (50.0, 2.5, 4.75)
    """
    pair = (student_logits, teacher_logits)
    same = agreement(*pair)
    by_sample = {f.__name__: f(*pair) for f in QUANTITIES}
    both = {"student": student_features, "teacher": teacher_features}
    for owner, features in both.items():
        if features is None:
            continue
        norms = by_sample[f"{owner}_feature_norm"] = feature_norms(features)
        if len(norms) != len(same):
            raise ValueError(
                f"summary: {owner}_features has {len(norms)} samples; expected "
                f"{len(same)}, as many as logits."
            )
    result = {"count": float(len(same)), "agreement": 100.0 * float(np.mean(same))}
    for name, values in by_sample.items():
        result[f"{name}/mean"] = float(np.mean(values))
        for quantile, level in QUANTILES.items():
            result[f"{name}/{quantile}"] = float(np.quantile(values, level))
    return result


def finite(where: str, name: str, values: Any) -> np.ndarray:
    """The values as float64.

    Raises:
      ValueError: there are none, or one of them is infinite or not a number.
    """
    values = np.asarray(values, np.float64)
    bad = int((~np.isfinite(values)).sum())
    if bad or not values.size:
        came = f"{bad} of its {values.size} numbers not finite" if bad else "no numbers"
        raise ValueError(f"{where}: {name} has {came}; expected finite numbers.")
    return values


def _pair(where: str, student_logits: Any, teacher_logits: Any):
    both = {"student_logits": student_logits, "teacher_logits": teacher_logits}
    contracts.shapes(where, **{name: (x, "n classes") for name, x in both.items()})
    return tuple(finite(where, name, x) for name, x in both.items())


def _difference(where: str, student_logits: Any, teacher_logits: Any) -> np.ndarray:
    student, teacher = _pair(where, student_logits, teacher_logits)
    return student - teacher
