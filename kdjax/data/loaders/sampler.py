"""Which sample comes when: a pure function of (seed, step); resuming needs no state."""

import functools

import numpy as np


def sample_positions(
    seed: int, step: int, batch_size: int, num_examples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which samples step number `step`, from 0, trains on.

    The stream of samples is one permutation of the split after another, cut into
    batches without regard to where an epoch ends: position p = step * batch_size + i
    belongs to epoch p // num_examples. `batch_size` counts the samples of all devices.
    Returns index, the position in the split, and epoch, both int32 [batch_size].

    >>> sample_positions(seed=0, step=2, batch_size=3, num_examples=4)[1]
    array([1, 1, 2], dtype=int32)
    """
    for name, value, lowest, limit in (
        ("seed", seed, 0, 2**63),
        ("step", step, 0, 2**63 // max(batch_size, 1)),
        ("batch_size", batch_size, 1, 2**31),
        ("num_examples", num_examples, 1, 2**31),
    ):
        if not lowest <= value < limit:
            expected = f"expected {lowest} to {limit - 1}"
            raise ValueError(f"sample_positions: {name} is {value}; {expected}.")
    position = step * batch_size + np.arange(batch_size, dtype=np.int64)
    epoch, within = np.divmod(position, num_examples)
    index = np.empty(batch_size, np.int32)
    for number in range(int(epoch[0]), int(epoch[-1]) + 1):
        here = epoch == number
        index[here] = permutation(seed, number, num_examples)[within[here]]
    return index, epoch.astype(np.int32)


@functools.lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """The order in which an epoch visits the split, int32 [num_examples], read-only.

    Sorts 64 random bits a sample: NumPy promises the same raw bits of Philox in every
    release, but not the same `Generator.permutation`.
    """
    key = np.array([seed, epoch], np.uint64)
    bits = np.random.Philox(key=key).random_raw(num_examples)
    order = np.argsort(bits, kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def first_epochs(
    seed: int, index: np.ndarray, epoch: np.ndarray, batch_size: int, num_examples: int
) -> np.ndarray:
    """The epoch in which a sample's step starts: the sample's own, or one before.

    Of samples `index` in epochs `epoch`, both [m]; int64 [m].

    >>> first_epochs(0, permutation(0, 1, 4), np.full(4, 1), 3, 4)
    array([0, 0, 1, 1])
    """
    first = np.empty(len(index), np.int64)
    for number in np.unique(epoch).tolist():
        here = epoch == number
        rank = np.argsort(permutation(seed, number, num_examples))
        position = number * num_examples + rank[index[here]]
        first[here] = position // batch_size * batch_size // num_examples
    return first
