"""A network's outputs for every training sample, and a detector's result."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from kdjax import contracts

Scalars = Float[np.ndarray, " samples"]
Mask = Bool[np.ndarray, " samples"]
Labels = Int[np.ndarray, " samples"]


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

    Raises:
      ValueError: shapes disagree, there is no sample, a logit or feature is not finite,
        labels are not integers from 0 to classes - 1.
    """
    arrays = Evidence(*(np.asarray(part) for part in evidence))
    sizes = contracts.shapes(
        where,
        logits=(arrays.logits, "samples classes"),
        features=(arrays.features, "samples features"),
        labels=(arrays.labels, "samples"),
    )
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


def checked_labels(where: str, name: str, labels: Labels) -> Labels:
    """`labels` as int64 [samples]; ValueError unless they are integers so shaped."""
    labels = np.asarray(labels)
    contracts.shapes(where, **{name: (labels, "samples")})
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{where}: {name} have dtype {labels.dtype}; expected integers."
        )
    return labels.astype(np.int64)


def correct_labels(where: str, labels: Labels, true_labels: Labels) -> Mask:
    """Where the labels given are the true ones."""
    labels = checked_labels(where, "labels", labels)
    true = checked_labels(where, "true_labels", true_labels)
    contracts.shapes(where, labels=(labels, "samples"), true_labels=(true, "samples"))
    return labels == true


def checked_mask(where: str, name: str, mask: Mask, samples: int) -> Mask:
    """`mask` as NumPy bool [samples]; ValueError for anything else, such as indices."""
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (samples,):
        raise ValueError(
            f"{where}: {name} is {mask.dtype} of shape {mask.shape}; expected bool of "
            f"shape ({samples},), one truth value per sample. Of indices make one with "
            "np.isin(np.arange(samples), indices)."
        )
    return mask


def checked_scalars(where: str, name: str, values: Scalars) -> Scalars:
    """`values` as float64 [samples]; ValueError unless there are some, all finite."""
    values = np.asarray(values)
    contracts.shapes(where, **{name: (values, "samples")})
    values = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size or not values.size:
        what = f"{name}[{bad[0]}] is {values[bad[0]]}" if bad.size else "there are none"
        raise ValueError(f"{where}: {what}; expected one finite number per sample.")
    return values
