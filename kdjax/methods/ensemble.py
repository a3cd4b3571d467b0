"""Distillation from several teachers at once.

T. Kim, J. Oh, N. Kim, S. Cho, S.-Y. Yun, "Comparing Kullback-Leibler Divergence and
Mean Squared Error Loss in Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919).

    L = (1 - alpha) CE(s, y) + alpha tau^2 KL(p || softmax(s / tau))      loss = "kl"
    L = (1 - alpha) CE(s, y) + alpha / K ||s - t||^2                      loss = "mse"
    t = 1/M sum_i t_i,  p = softmax(t / tau)             combine = "mean_logits"
    t = sum_i t_i,      p = softmax(t / tau)             combine = "sum_logits"
    p = 1/M sum_i softmax(t_i / tau)                     combine = "mean_probabilities"

| symbol | argument    |
|--------|-------------|
| alpha  | alpha       |
| tau    | temperature |

Departs from the paper: the default is the mean of the logits, where the authors' code
adds them: the target then depends on the number of teachers M, with "kl" as if the
teacher's temperature were tau / M, with "mse" by logits M times as large. The mean of
probabilities is an addition. By default alpha is 1 and tau 20, as the paper prefers.
"""

import dataclasses
import math

from kdjax import contracts, losses
from kdjax.methods.base import Method
from kdjax.methods.terms import (
    labels_and_teacher,
    match_logits,
    soft_logits,
    soft_target,
)
from kdjax.supervision import ensemble
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Kim et al., Comparing KL and MSE in Knowledge Distillation, IJCAI 2021"

_LOGITS = {
    "mean_logits": ensemble.mean_of_logits,
    "sum_logits": ensemble.sum_of_logits,
}
_COMBINE = (*_LOGITS, "mean_probabilities")


def build(
    *,
    combine: str = "mean_logits",
    loss: str = "kl",
    alpha: float = 1.0,
    temperature: float = 20.0,
) -> Method:
    """Cross entropy and the combined outputs of several teachers.

    Args:
      combine: "mean_logits", "sum_logits" or, with "kl" only, "mean_probabilities".
      loss: "kl" or "mse", the squared error averaged over the classes.
      alpha: share of the teachers, above 0 and up to 1. At 1 no label is used.
      temperature: of "kl", > 0; infinity, not with "mean_probabilities", is logit
        matching.

    Raises:
      ValueError: in use, if there is a single teacher.
    """
    _check(combine, loss, alpha, temperature)
    if combine == "mean_probabilities":
        stages = {"target": (ensemble.mean_of_probabilities(temperature),)}
        term = soft_target(alpha)
    else:
        stages = {"logits": (_LOGITS[combine],)}
        if loss == "mse":
            term = match_logits("mean_squared_error", alpha, losses.mean_squared_error)
        elif math.isinf(temperature):
            term = match_logits("logit_matching", alpha, losses.logit_matching)
        else:
            term = soft_logits(alpha)
    softened = loss == "kl" and not math.isinf(temperature)
    rule = fixed(temperature) if softened else None
    supervisor = Supervisor(temperature=rule, **stages)
    method = labels_and_teacher(alpha, term, supervisor)
    return dataclasses.replace(method, needs=("members",))


def _check(combine: str, loss: str, alpha: float, temperature: float) -> None:
    if combine not in _COMBINE:
        raise ValueError(
            f"ensemble: combine is {combine!r}; expected one of {', '.join(_COMBINE)}."
            + contracts.nearest(str(combine), _COMBINE)
        )
    if loss not in ("kl", "mse"):
        raise ValueError(f"ensemble: loss is {loss!r}; expected 'kl' or 'mse'.")
    contracts.fraction("ensemble", "alpha", alpha)
    contracts.positive("ensemble", "alpha", alpha)
    contracts.positive("ensemble", "temperature", temperature, infinity=True)
    if combine != "mean_probabilities":
        return
    if loss == "mse" or math.isinf(temperature):
        what = "loss is 'mse'" if loss == "mse" else "temperature is inf"
        raise ValueError(
            f"ensemble: {what}, which compares logits; a mean of probabilities has "
            "none. Use combine='mean_logits', or loss='kl' at a finite temperature."
        )
