"""Label noise: pure functions of labels and seed, the same on every machine.

Every model takes `labels` int [n] and `num_classes`, and returns int32 [n]; all but
"file" take `rate`, 0 to 1, and `seed`, 0 to 2**63 - 1, and raise ValueError for values
out of range. Position i is sample i of the split, so neither batches nor hosts matter.
"""

import hashlib
import inspect

import numpy as np

from kdjax.data.noise import models
from kdjax.data.noise.files import from_file

NOISES = {
    "symmetric": models.symmetric,
    "asymmetric_cifar10": models.asymmetric_cifar10,
    "asymmetric_cifar100": models.asymmetric_cifar100,
    "superclass_cifar100": models.superclass_cifar100,
    "pair_flip": models.pair_flip,
    "file": from_file,
}


def describe(
    labels: np.ndarray, noisy_labels: np.ndarray, num_classes: int, *, name, **values
) -> dict:
    """What a run stores of its noise, as JSON.

    Labels are int [n], before and after. Returns name; the model's parameters, which
    are `values` or the defaults; effective_rate, the fraction of labels that differ;
    sha256 of the noisy labels; for K <= 100 changed_per_class, by the class before.

    >>> facts = describe(
    ...     np.array([0, 0, 1]), np.array([0, 1, 1]), 2, name="pair_flip", rate=0.5
    ... )
    >>> facts["seed"], round(facts["effective_rate"], 3), facts["changed_per_class"]
    (888, 0.333, [1, 0])
    """
    signature = inspect.signature(NOISES[name]).parameters.values()
    defaults = {p.name: p.default for p in signature if p.default is not p.empty}
    facts = {"name": name} | {
        key: value if isinstance(value, str | int | float | None) else str(value)
        for key, value in (defaults | values).items()
    }
    before, after = (np.asarray(x, "<i4") for x in (labels, noisy_labels))
    changed = before != after
    facts["effective_rate"] = float(changed.mean())
    facts["sha256"] = hashlib.sha256(after.tobytes()).hexdigest()
    if num_classes <= 100:
        counts = np.bincount(before[changed], minlength=num_classes)
        facts["changed_per_class"] = counts.tolist()
    return facts
