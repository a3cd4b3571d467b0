"""Memories of features that contrast reads: banks, queues, and draws of negatives.

State is the caller's; each function returns the next one. Needs no loop over samples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from kdjax import contracts
from kdjax.losses.numerics import AnyArray, Scalar, as_float32, as_int32, as_number
from kdjax.losses.subset import norms


class ClassGroups(NamedTuple):
    """Samples sorted by class; class c holds order[start[c] : start[c] + size[c]]."""

    order: Integer[Array, " samples"]
    start: Integer[Array, " classes"]
    size: Integer[Array, " classes"]


def updated_bank(
    bank: Float[AnyArray, "samples channels"],
    index: Integer[AnyArray, " batch"],
    embedding: Float[AnyArray, "batch channels"],
    momentum: Scalar = 0.5,
) -> Float[Array, "samples channels"]:
    """The bank with the batch's rows moved towards its embeddings, of unit length.

        m_i <- u / ||u||,   u = momentum * m_i + (1 - momentum) * embedding_i

    CRD (arXiv:1910.10699) and its public code: momentum 0.5. A sample that occurs twice
    keeps its last occurrence in the batch, as if the others were not there; rows with
    an index out of range, such as padding, are left out; where u is 0 the row stays.

    Args:
      bank: float32, or what it is to be kept in.
      index: row of each sample.
      embedding: [batch, channels], of unit length.
      momentum: from 0 to 1.

    >>> import numpy as np
    >>> bank, embedding = np.float32([[1, 0], [0, 1]]), np.float32([[0, 1], [3, 4]])
    >>> print(updated_bank(bank, np.array([0, -1]), embedding, momentum=0.5).round(4))
    [[0.7071 0.7071]
     [0.     1.    ]]
    """
    where = "updated_bank"
    named = contracts.shapes(
        where,
        bank=(bank, "samples channels"),
        index=(index, "batch"),
        embedding=(embedding, "batch channels"),
    )
    contracts.fraction(where, "momentum", momentum)
    contracts.integers(where, index=index)
    bank, index, momentum = jnp.asarray(bank), as_int32(index), as_number(momentum)
    if not named["samples"]:
        return bank
    old = as_float32(bank.at[index].get(mode="clip"))
    u = momentum * old + (1.0 - momentum) * as_float32(embedding)
    length = norms(u)
    rows = jnp.where(length > 0, u / jnp.where(length > 0, length, 1.0), old)
    target = _rows_to_write(index, named["samples"])
    return bank.at[target].set(rows.astype(bank.dtype), mode="drop")


def updated_queue(
    queue: Float[AnyArray, "length channels"],
    position: Integer[AnyArray, ""] | int,
    vectors: Float[AnyArray, "batch channels"],
) -> tuple[Float[Array, "length channels"], Integer[Array, ""]]:
    """First in, first out: the oldest rows replaced by the vectors; and the position.

    Start with position 0 and any rows. `arange(length) < position` says which rows are
    filled: the position counts to 2 * length - 1 and then continues at length.

    Args:
      queue: float32, or what it is to be kept in.
      position: as returned by the last call; the next row is position modulo length.
      vectors: stored as they are; `queue_kl` expects unit length. At most `length`.

    >>> import numpy as np
    >>> queue, position = np.zeros((3, 1), np.float32), 0
    >>> for vectors in ([[1], [2]], [[3], [4]]):
    ...     queue, position = updated_queue(queue, position, np.float32(vectors))
    >>> print(queue[:, 0], position)
    [4. 2. 3.] 4
    """
    named = contracts.shapes(
        "updated_queue",
        queue=(queue, "length channels"),
        position=(position, ""),
        vectors=(vectors, "batch channels"),
    )
    contracts.integers("updated_queue", position=position)
    if isinstance(position, int):
        contracts.whole("updated_queue", "position", position, 0)
    length, batch = named["length"], named["batch"]
    if batch > length:
        raise ValueError(
            f"updated_queue: vectors has batch={batch}; expected at most the length of "
            f"the queue, {length}."
        )
    queue, position = jnp.asarray(queue), as_int32(position)
    rows = (position + jnp.arange(batch)) % length
    queue = queue.at[rows].set(jnp.asarray(vectors).astype(queue.dtype))
    position = position + batch
    return queue, jnp.where(position >= 2 * length, position - length, position)


def group_by_class(labels: Integer[AnyArray, " samples"], classes: int) -> ClassGroups:
    """Sorts a split's samples by class, once, for the draws from it.

    Args:
      labels: of all samples, in 0..classes-1.
      classes: at least one.

    >>> import numpy as np
    >>> [part.tolist() for part in group_by_class(np.array([1, 0, 1]), 2)]
    [[1, 0, 2], [0, 1], [1, 2]]
    """
    contracts.shapes("group_by_class", labels=(labels, "samples"))
    contracts.whole("group_by_class", "classes", classes, 1)
    contracts.labels_in_range("group_by_class", labels, classes)
    labels = jnp.asarray(labels)
    size = jnp.zeros(classes, jnp.int32).at[labels].add(1)
    order = jnp.argsort(labels, stable=True).astype(jnp.int32)
    return ClassGroups(order, jnp.cumsum(size) - size, size)


def draw_negatives(
    key: Array, groups: ClassGroups, labels: Integer[AnyArray, " batch"], k: int
) -> Integer[Array, "batch k"]:
    """For each label, k indices of samples of other classes, uniform, with repetition.

    CRD (arXiv:1910.10699): its public code draws so in both of its modes, but without
    repetition where there are k other samples. Memory: batch * k integers.

    Args:
      key: a JAX random key.
      groups: of the split, from `group_by_class`.
      labels: of the batch, in 0..classes-1.
      k: at least 1; 16384 in CRD.

    Raises:
      ValueError: all samples are of one class. Inside jit that is not noticed.

    >>> import jax, numpy as np
    >>> groups = group_by_class(np.array([0, 1, 0, 2]), 3)
    >>> picks = draw_negatives(jax.random.key(0), groups, np.array([0, 1]), 50)
    >>> [sorted(set(row)) for row in picks.tolist()]
    [[1, 3], [0, 2, 3]]
    """
    _check_draw("draw_negatives", key, groups, labels)
    contracts.whole("draw_negatives", "k", k, 1)
    samples = groups.order.shape[0]
    if (
        not contracts.is_traced(groups.size)
        and np.asarray(groups.size).max() == samples
    ):
        raise ValueError(
            "draw_negatives: groups holds one class only; expected at least two."
        )
    labels = jnp.asarray(labels)
    start = jnp.asarray(groups.start)[labels][:, None]
    size = jnp.asarray(groups.size)[labels][:, None]
    picks = jax.random.randint(key, (labels.shape[0], k), 0, samples - size)
    return jnp.asarray(groups.order)[jnp.where(picks < start, picks, picks + size)]


def draw_positives(
    key: Array, groups: ClassGroups, labels: Integer[AnyArray, " batch"]
) -> Integer[Array, " batch"]:
    """For each label, the index of one sample of that class, uniform.

    The mode "relax" of CRD's public code; in "exact", to which the published numbers
    belong, a sample's positive is the sample itself.

    >>> import jax, numpy as np
    >>> groups = group_by_class(np.array([0, 1, 0, 2]), 3)
    >>> print(draw_positives(jax.random.key(0), groups, np.array([1, 2])))
    [1 3]
    """
    _check_draw("draw_positives", key, groups, labels)
    labels = jnp.asarray(labels)
    start = jnp.asarray(groups.start)[labels]
    size = jnp.asarray(groups.size)[labels]
    picks = jax.random.randint(key, labels.shape, 0, size)
    return jnp.asarray(groups.order)[start + picks]


def _rows_to_write(index: Array, size: int) -> Integer[Array, " batch"]:
    """The index; for padding, and all but the last of equal ones, `size`: dropped.

    The order in which a device writes equal rows is not defined.
    """
    place = jnp.arange(index.shape[0])
    equal = index[:, None] == index[None, :]
    repeated = jnp.any(equal & (place[:, None] < place[None, :]), axis=1)
    return jnp.where((index >= 0) & (index < size) & ~repeated, index, size)


def _check_draw(where: str, key, groups: ClassGroups, rows) -> None:
    dtype, shape = getattr(key, "dtype", None), np.shape(getattr(key, "shape", ()))
    typed = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed and (dtype != np.uint32 or shape != (1,)):
        raise ValueError(
            f"{where}: key is {contracts.shown(key)}; expected one of jax.random.key."
        )
    if not isinstance(groups, ClassGroups):
        raise ValueError(
            f"{where}: groups is {contracts.shown(groups)}; expected those of "
            "group_by_class."
        )
    contracts.shapes(where, rows=(rows, "batch"))
    contracts.labels_in_range(where, rows, np.shape(groups.size)[0])
