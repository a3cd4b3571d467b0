"""Influence along the training run: gradients at its checkpoints, no Hessian."""

from collections.abc import Sequence

import numpy as np

from kdjax import contracts
from kdjax.selection.evidence import Evidence, checked
from kdjax.selection.last_layer import (
    Indices,
    along,
    label_residual,
    validation_gradient,
)
from kdjax.selection.scores import Scores


def gradient_dot(
    snapshots: Sequence[tuple[float, Evidence]], validation: Indices
) -> Scores:
    """Minus what the steps on sample i took off the validation loss: TracIn.

        score_i = -sum_t eta_t g_V(t)^T g_i(t)      labels as targets

    Pruthi et al. 2020 (arXiv:2002.08484), TracInCP on the last layer: `label_influence`
    with the identity for H, summed along the training run. Negative: the sample helps.

    Args:
      snapshots: (learning rate, evidence) of the network at each saved checkpoint; the
        same samples with the same labels in the same order.
      validation: [validation] int, positions of V; `validation_indices` draws them.

    Raises:
      ValueError: there is no snapshot, one is malformed or has other labels, or a
        gradient on V is exactly zero.

    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    >>> wrong = Evidence(logits, logits, np.array([0, 1, 0]))  # the last label is noise
    >>> scores = gradient_dot([(0.1, wrong), (0.01, wrong)], np.array([0, 1]))
    >>> print(np.argmax(scores.values))
    2
    """
    where, values = "gradient_dot", 0.0
    if not len(snapshots):
        raise ValueError(f"{where}: no snapshot is given; expected at least one.")
    labels = np.asarray(snapshots[0][1].labels)
    for number, (learning_rate, evidence) in enumerate(snapshots):
        contracts.positive(where, f"learning rate {number}", learning_rate)
        evidence = checked(where, evidence)
        if not np.array_equal(evidence.labels, labels):
            raise ValueError(
                f"{where}: labels of snapshot {number} are not those of snapshot 0; "
                "expected the same samples in the same order."
            )
        direction = validation_gradient(where, evidence, validation)
        pull = along(evidence, direction, label_residual(evidence))
        values = values - learning_rate * pull
    return Scores(values)
