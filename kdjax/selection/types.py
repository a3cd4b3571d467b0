"""One number, truth value or label per sample, and the checks of such arrays."""

import numpy as np
from jaxtyping import Bool, Float, Int

from kdjax import contracts

Scalars = Float[np.ndarray, " samples"]
Mask = Bool[np.ndarray, " samples"]
Labels = Int[np.ndarray, " samples"]


def checked_labels(where: str, name: str, labels: Labels) -> Labels:
    """`labels` as int64 [samples]; ValueError unless they are integers so shaped."""
    contracts.shapes(where, **{name: (labels, "samples")})
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        text = f"{where}: {name} have dtype {labels.dtype}; expected integers."
        raise ValueError(text)
    return labels.astype(np.int64)


def correct_labels(where: str, labels: Labels, true_labels: Labels) -> Mask:
    """Where the labels given are the true ones."""
    labels = checked_labels(where, "labels", labels)
    true = checked_labels(where, "true_labels", true_labels)
    contracts.shapes(where, labels=(labels, "samples"), true_labels=(true, "samples"))
    return labels == true


def checked_mask(where: str, name: str, mask: Mask, samples: int) -> Mask:
    """`mask` as NumPy bool [samples]; ValueError for anything else, such as indices."""
    if not hasattr(mask, "shape"):
        contracts.shapes(where, **{name: (mask, "samples")})
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
    contracts.shapes(where, **{name: (values, "samples")})
    values = np.asarray(values).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size or not values.size:
        what = f"{name}[{bad[0]}] is {values[bad[0]]}" if bad.size else "there are none"
        raise ValueError(f"{where}: {what}; expected one finite number per sample.")
    return values


def choice(where: str, name: str, value, choices) -> None:
    """Raises ValueError unless `value` is one of those names."""
    if not isinstance(value, str) or value not in choices:
        hint = contracts.nearest(value, choices) if isinstance(value, str) else ""
        raise ValueError(
            f"{where}: {name} is {contracts.shown(value)}; expected one of "
            f"{', '.join(choices)}.{hint}"
        )
