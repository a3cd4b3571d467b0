"""A network's outputs for every training sample, and a detector's result."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kdjax import contracts
from kdjax.selection.types import Labels, Mask, Scalars, checked_labels


class Evidence(NamedTuple):
    """The outputs of one network, the proxy, for every training sample.

    Taken in evaluation mode, with the test transform: row i is sample i of the set.
    """

    logits: Float[np.ndarray, "samples classes"]  # unnormalised log-probabilities
    features: Float[np.ndarray, "samples features"]  # pooled, before the linear layer
    labels: Labels  # the labels given, some of which may be wrong


class SelectionResult(NamedTuple):
    """What a detector takes for clean."""

    keep: Mask  # True: the label is believed
    score: Scalars  # larger = cleaner, never NaN; -inf where there is no basis


def losses(evidence: Evidence) -> Scalars:
    """Cross entropy of every sample with the label it was given.

        l_i = log sum_k exp(z_ik) - z_iy   with y the label of sample i

    In nats, float64, finite; features are not read. Errors as `checked`.
    """
    logits, _, labels = checked("losses", evidence)
    result = np.empty(len(labels))
    # In blocks: a million samples of a thousand classes are 8 GB in float64.
    for start in range(0, len(labels), 8192):
        block = slice(start, start + 8192)
        z = logits[block].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        of_label = np.take_along_axis(z, labels[block, None], axis=1)[:, 0]
        result[block] = np.log(np.exp(z).sum(axis=1)) - of_label
    return result


def checked(where: str, evidence: Evidence) -> Evidence:
    """The evidence as NumPy arrays.

    ValueError where shapes disagree, there is no sample, a logit or feature is not
    finite, or labels are not integers from 0 to classes - 1.
    """
    if not isinstance(evidence, tuple | list) or len(evidence) != 3:
        raise ValueError(
            f"{where}: evidence is {contracts.shown(evidence)}; expected an Evidence: "
            "logits, features and labels."
        )
    evidence = Evidence(*evidence)
    sizes = contracts.shapes(
        where,
        logits=(evidence.logits, "samples classes"),
        features=(evidence.features, "samples features"),
        labels=(evidence.labels, "samples"),
    )
    arrays = Evidence(*(np.asarray(part) for part in evidence))
    if 0 in sizes.values():
        raise ValueError(f"{where}: the evidence is empty: {sizes}.")
    for name in ("logits", "features"):
        bad = np.flatnonzero(~np.isfinite(getattr(arrays, name)).all(axis=1))
        if bad.size:
            raise ValueError(
                f"{where}: {name} of sample {bad[0]} are not finite ({bad.size} of "
                f"{sizes['samples']} samples); the network that gave this evidence has "
                "diverged."
            )
    labels = checked_labels(where, "labels", arrays.labels)
    contracts.labels_in_range(where, labels, sizes["classes"])
    return arrays._replace(labels=labels)
