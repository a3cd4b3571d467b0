"""What a finished student has in common with its teacher, in float64 NumPy.

The quantities in which Kim et al. 2021 (arXiv:2105.08919) compare KL with MSE. With
d = student logits - teacher logits over K classes,

    tau^2 KL  ->  ||d||^2 / 2K  -  (sum_j d_j)^2 / 2K^2      for tau -> infinity,

which are `logit_matching`, `half_mean_square` and `delta_infinity`. So KL at infinite
temperature leaves the mean of d free, `logit_mean_gap`; MSE does not.
"""

from typing import Any

import numpy as np

from kdjax import contracts

QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}


def compare_logits(student_logits: Any, teacher_logits: Any) -> dict[str, np.ndarray]:
    """Name -> value of every sample, [n].

        logit_distance      ||d||, whose density is the paper's figure
        half_mean_square    ||d||^2 / 2K
        delta_infinity      -(sum_j d_j)^2 / 2K^2 <= 0
        logit_matching      half the population variance of d over classes: the sum of
                            both, in float64 what `losses.logit_matching` is in float32
        logit_mean_gap      mean_j d_j
        agreement           whether both predict the same class; ties: lowest index

    Logits are [n, classes], finite.

    >>> values = compare_logits([[3.0, 1.0]], [[0.0, 5.0]])
    >>> {name: value.item() for name, value in values.items()}  # doctest: +ELLIPSIS
    {'logit_distance': 5.0, 'half_mean_square': 6.25, ..., 'agreement': False}
    """
    where = "compare_logits"
    both = {"student_logits": student_logits, "teacher_logits": teacher_logits}
    contracts.shapes(where, **{name: (x, "n classes") for name, x in both.items()})
    student, teacher = (finite(where, name, x) for name, x in both.items())
    d = student - teacher
    return {
        "logit_distance": np.linalg.norm(d, axis=-1),
        "half_mean_square": 0.5 * np.mean(d**2, axis=-1),
        "delta_infinity": -0.5 * np.mean(d, axis=-1) ** 2,
        "logit_matching": 0.5 * np.var(d, axis=-1),
        "logit_mean_gap": np.mean(d, axis=-1),
        "agreement": np.argmax(student, axis=-1) == np.argmax(teacher, axis=-1),
    }


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
    student_feature_norms: Any = None,
    teacher_feature_norms: Any = None,
) -> dict[str, float]:
    """Mean and quantiles of all the above over the samples.

    "<quantity>/mean", "/q05", "/median", "/q95"; agreement in percent; count. Norms of
    features [n], of `feature_norms`, add student_feature_norm and teacher_feature_norm.

    >>> result = summary([[3.0, 1.0], [1.0, 0.0]], [[0.0, 5.0], [1.0, 0.0]])
    >>> result["agreement"], result["logit_distance/mean"], result["logit_distance/q95"]
    (50.0, 2.5, 4.75)
    """
    by_sample = compare_logits(student_logits, teacher_logits)
    same = by_sample.pop("agreement")
    both = {"student": student_feature_norms, "teacher": teacher_feature_norms}
    for owner, norms in both.items():
        if norms is None:
            continue
        name = f"{owner}_feature_norms"
        contracts.shapes("summary", logits=(same, "n"), **{name: (norms, "n")})
        by_sample[f"{owner}_feature_norm"] = finite("summary", name, norms)
    result = {"count": float(len(same)), "agreement": 100.0 * float(np.mean(same))}
    for name, values in by_sample.items():
        result[f"{name}/mean"] = float(np.mean(values))
        for quantile, level in QUANTILES.items():
            result[f"{name}/{quantile}"] = float(np.quantile(values, level))
    return result


def finite(where: str, name: str, values: Any) -> np.ndarray:
    """The values as float64; ValueError unless there are some, all finite."""
    values = np.asarray(values, np.float64)
    bad = int((~np.isfinite(values)).sum())
    if bad or not values.size:
        came = f"{bad} of its {values.size} numbers not finite" if bad else "no numbers"
        raise ValueError(f"{where}: {name} has {came}; expected finite numbers.")
    return values
