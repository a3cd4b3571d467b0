"""Is a cache what its teacher says? Checksums of all files, and rows asked anew."""

import numpy as np

from kdjax.caching.layout import Layout
from kdjax.caching.reader import Reader
from kdjax.caching.teacher_runner import TeacherRunner
from kdjax.checkpoints import StorageError

# In units of the largest logit of a sample: what bfloat16, TF32 or another kind of
# device may change. The report says what it was.
NOISE = 5e-3


def verify(
    reader: Reader, live: TeacherRunner, epochs: list[int], rows: int, random
) -> dict[str, object]:
    """Compares every file with its checksum, and random rows with the live teacher.

    Args:
      reader: of the cache.
      live: its teacher.
      epochs: to look at.
      rows: how many to ask anew, over all epochs, none twice.
      random: a NumPy generator, draws them.

    Returns:
      rows, largest_difference (in units of a sample's largest logit), allowed, and
      problems, a sentence each.
    """
    problems, sound = [], []
    for epoch in epochs:
        try:
            reader.check(epoch)
            sound.append(epoch)
        except StorageError as error:
            problems.append(str(error))
    examples, layout = reader.layout.examples, reader.layout
    count = min(rows, len(sound) * examples)
    drawn = np.sort(random.choice(len(sound) * examples, count, replace=False))
    number, index = np.divmod(drawn, examples)
    epoch = np.array(sound, np.int32)[number]
    index = index.astype(np.int32)
    worst = np.zeros(0)
    if count:
        found = reader.rows(index, epoch)
        worst = differences(found, live.answers(index, epoch), layout)
    allowed = NOISE + float(np.finfo(layout.dtype).eps) / 2
    problems += [
        f"epoch {epoch[i]}, sample {index[i]}: differs from the teacher's answer by "
        f"{worst[i]:.2g} of its largest logit; allowed are {allowed:.2g}"
        for i in np.flatnonzero(~(worst <= allowed))
    ]
    return {
        "rows": count,
        "largest_difference": float(worst.max(initial=0.0)),
        "allowed": allowed,
        "problems": problems,
    }


def differences(
    rows: dict[str, np.ndarray], said: dict[str, np.ndarray], layout: Layout
) -> np.ndarray:
    """How far each sample's row is from what the teacher says, in float64; [b].

    Args:
      rows: what is stored, each [b, ...].
      said: the teacher's logits and, where stored, members and features, [b, ...].
      layout: says what is stored.

    Returns:
      The largest difference in any array, in units of the sample's largest number
      there.
    """
    rows, said = (
        {name: np.asarray(array, np.float64) for name, array in pairs.items()}
        for pairs in (rows, said)
    )
    logits = said["members"] if layout.members else said["logits"]
    # A cache of members stands for their mean: is that what the teacher says?
    mean = logits.mean(1) if layout.members else logits
    found = [_relative(mean - said["logits"], said["logits"])]
    found += [
        _relative(rows[name] - said[name], said[name]) for name in layout.features
    ]
    if not layout.top_k:
        found.append(_relative(rows["logits"] - logits, logits))
    else:
        found += [_relative(error, logits) for error in _of_top(rows, logits)]
    return np.max(found, axis=0)


def _of_top(rows: dict[str, np.ndarray], logits: np.ndarray) -> list[np.ndarray]:
    """Errors of values and rest, and by how much another class stands above the top."""
    classes = rows["classes"].astype(np.int64)
    values = np.take_along_axis(logits, classes, -1)
    others = logits.copy()
    np.put_along_axis(others, classes, -np.inf, -1)
    largest = others.max(-1, keepdims=True)
    mean = np.exp(others - largest).sum(-1) / (logits.shape[-1] - classes.shape[-1])
    rest = np.log(mean) + largest[..., 0]
    above = np.maximum(largest[..., 0] - values.min(-1), 0.0)
    return [rows["logits"] - values, rows["rest"] - rest, above]


def _relative(error: np.ndarray, whole: np.ndarray) -> np.ndarray:
    axes = tuple(range(1, whole.ndim))
    size = np.abs(whole).max(axes)
    return np.abs(error).reshape(len(error), -1).max(-1) / np.maximum(size, 1e-6)
