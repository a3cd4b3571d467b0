"""Data selection: for which samples to use the teacher, by influence.

Lan et al. (arXiv:2404.03693) give teacher supervision to the samples that an influence
score picks, labels to the rest. What could be read of the paper does not say which
estimator, so here are the known ones behind one sign: smaller = keep first. All look at
the last linear layer of a reference network only, in closed form:

    g_i(q) = (p_i - q) (x) [h_i; 1]      g_V = mean_{v in V} g_v(e_y)
    H      = mean_i (diag p_i - p_i p_i^T) (x) [h_i; 1] [h_i; 1]^T + damping I
"""

import inspect
from collections.abc import Sequence

import numpy as np

from kdjax import contracts
from kdjax.selection import last_layer
from kdjax.selection.curvature import Solution, solve
from kdjax.selection.evidence import Evidence, checked
from kdjax.selection.last_layer import Indices, Probabilities, along
from kdjax.selection.parameter_change import parameter_change
from kdjax.selection.scores import Scores, random_scores
from kdjax.selection.types import choice


def teacher_influence(
    evidence: Evidence,
    targets: Probabilities,
    validation: Indices,
    *,
    damping: float = 1e-2,
) -> Scores:
    """What the teacher in place of the label of sample i does to the validation loss.

        I_i = -g_V^T H^-1 (g_i(q_i) - g_i(e_y))

    n times the first-order change of the mean validation loss, in nats, when sample i's
    target goes from its label to q_i. Negative: the teacher helps there. Koh & Liang's
    estimator (arXiv:1703.04730) for the choice that Lan et al. (arXiv:2404.03693) make.
    A sample of V favours its own label a little.

    Args:
      targets: [samples, classes], the teacher's, revised or not; >= 0, rows sum to 1.
      validation: positions of V, of `scores.validation_indices`.
      damping: > 0, added to the diagonal of H.

    ValueError where the gradient on V is 0, or conjugate gradients do not converge.
    """
    where = "teacher_influence"
    evidence = checked(where, evidence)
    last_layer.checked_targets(where, targets, evidence)
    solution = _response(where, evidence, validation, damping)
    values = along(evidence, solution.vector, np.asarray(targets))
    return Scores(values, solution.iterations, solution.residual)


def label_influence(
    evidence: Evidence, validation: Indices, *, damping: float = 1e-2
) -> Scores:
    """What a larger weight of sample i and its label does to the validation loss.

        I_i = -g_V^T H^-1 g_i(e_y)

    Koh & Liang 2017 (arXiv:1703.04730), equation 2: the derivative of the mean
    validation loss, in nats, in the weight of sample i. Negative: the sample helps; to
    leave it out changes that loss by -I_i / n. Arguments as `teacher_influence`.
    """
    where = "label_influence"
    evidence = checked(where, evidence)
    solution = _response(where, evidence, validation, damping)
    pull = along(evidence, solution.vector)
    return Scores(-pull, solution.iterations, solution.residual)


def gradient_dot(
    snapshots: Sequence[tuple[float, Evidence]], validation: Indices
) -> Scores:
    """Minus what the steps on sample i took off the validation loss: TracIn.

        score_i = -sum_t eta_t g_V(t)^T g_i(t)      labels as targets

    Pruthi et al. 2020 (arXiv:2002.08484), TracInCP on the last layer: `label_influence`
    with the identity for H, summed along the training run. Negative: the sample helps.

    Snapshots are (learning rate, evidence) at each checkpoint, of the same samples.
    """
    where, values = "gradient_dot", 0.0
    pairs = isinstance(snapshots, list | tuple)
    pairs = pairs and all(
        isinstance(s, tuple | list) and len(s) == 2 for s in snapshots
    )
    if not pairs:
        raise ValueError(
            f"{where}: snapshots is {contracts.shown(snapshots)}; expected pairs of a "
            "learning rate and evidence."
        )
    if not len(snapshots):
        raise ValueError(f"{where}: no snapshot is given; expected at least one.")
    labels = checked(where, snapshots[0][1]).labels
    for number, (learning_rate, evidence) in enumerate(snapshots):
        contracts.positive(where, f"learning rate {number}", learning_rate)
        evidence = checked(where, evidence)
        if not np.array_equal(evidence.labels, labels):
            raise ValueError(
                f"{where}: labels of snapshot {number} are not those of snapshot 0; "
                "expected the same samples in the same order."
            )
        direction = last_layer.validation_gradient(where, evidence, validation)
        values = values - learning_rate * along(evidence, direction)
    return Scores(values)


ESTIMATORS = {
    "teacher_influence": teacher_influence,
    "label_influence": label_influence,
    "parameter_change": parameter_change,
    "gradient_dot": gradient_dot,
    "random": random_scores,
}


def influence_scores(estimator: str, **inputs) -> Scores:
    """Scores by a name in `ESTIMATORS`; inputs for any of them, None: not given."""
    choice("influence_scores", "estimator", estimator, ESTIMATORS)
    takes = {name: inspect.signature(f).parameters for name, f in ESTIMATORS.items()}
    arguments = {argument for parameters in takes.values() for argument in parameters}
    for argument in inputs:
        if argument not in arguments:
            raise ValueError(
                f"influence_scores: no estimator takes {argument}."
                f"{contracts.nearest(argument, arguments)}"
            )
    given = {a: inputs[a] for a in takes[estimator] if inputs.get(a) is not None}
    for argument, parameter in takes[estimator].items():
        if parameter.default is parameter.empty and argument not in given:
            raise ValueError(f"influence_scores: {estimator} needs {argument}.")
    return ESTIMATORS[estimator](**given)


def _response(where: str, evidence: Evidence, validation, damping) -> Solution:
    """H^-1 g_V."""
    contracts.positive(where, "damping", damping)
    gradient = last_layer.validation_gradient(where, evidence, validation)
    return solve(evidence, gradient, damping)
