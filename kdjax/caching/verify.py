"""Compares a cache with its checksums, and random samples with the teacher itself."""

import numpy as np

from kdjax.caching.layout import Layout
from kdjax.caching.reader import Reader
from kdjax.caching.teacher_runner import TeacherRunner
from kdjax.checkpoints import StorageError
from kdjax.distributed import collectives

# In units of the largest logit of a sample: what bfloat16, TF32 or another kind of
# device may change. The report gives the largest difference.
TOLERANCE = 5e-3


def verify(
    reader: Reader, teacher: TeacherRunner, epochs: list[int], rows: int, random
) -> dict[str, object]:
    """Compares every file with its checksum, and random samples with the teacher.

    `rows` samples, over all epochs and none twice, are computed again. Returns how many
    they were; largest_difference and allowed, in units of a sample's largest logit; and
    problems, a sentence each. All processes compute the same samples.
    """
    problems, sound = _check_files(reader, epochs)
    examples, layout = reader.layout.examples, reader.layout
    count = min(rows, len(sound) * examples)
    samples = np.sort(random.choice(len(sound) * examples, count, replace=False))
    number, index = np.divmod(samples, examples)
    epoch, index = np.array(sound, np.int32)[number], index.astype(np.int32)
    errors = np.zeros(0)
    if count:
        outputs = teacher.outputs(index, epoch)
        errors = differences(reader.rows(index, epoch), outputs, layout)
    allowed = TOLERANCE + float(np.finfo(layout.dtype).eps) / 2
    problems += [
        f"epoch {epoch[i]}, sample {index[i]}: differs from the teacher's output by "
        f"{errors[i]:.2g} of its largest logit; allowed are {allowed:.2g}"
        for i in np.flatnonzero(~(errors <= allowed))
    ]
    return {
        "rows": count,
        "largest_difference": float(errors.max(initial=0.0)),
        "allowed": allowed,
        "problems": problems,
    }


def _check_files(reader: Reader, epochs: list[int]) -> tuple[list[str], list[int]]:
    """(problems of all processes, epochs that are sound in each of them)."""
    problems, sound = [], []
    for epoch in epochs:
        try:
            reader.check(epoch)
            sound.append(epoch)
        except StorageError as error:
            problems.append(str(error))
    every = collectives.all_gather([problems, sound])
    problems = list(dict.fromkeys(text for texts, _ in every for text in texts))
    return problems, [e for e in epochs if all(e in good for _, good in every)]


def differences(
    rows: dict[str, np.ndarray], outputs: dict[str, np.ndarray], layout: Layout
) -> np.ndarray:
    """The largest difference of each sample in any array, in float64; [b].

    In units of the sample's largest number there. `rows` is what is stored, `outputs`
    what the teacher gives; each [b, ...].
    """
    rows = {name: np.asarray(x, np.float64) for name, x in rows.items()}
    outputs = {name: np.asarray(x, np.float64) for name, x in outputs.items()}
    logits = outputs["members"] if layout.members else outputs["logits"]
    # A cache of members stands for their mean: is that what the teacher gives?
    mean = logits.mean(1) if layout.members else logits
    errors = [_relative(mean - outputs["logits"], outputs["logits"])]
    errors += [_relative(rows[n] - outputs[n], outputs[n]) for n in layout.features]
    if layout.top_k:
        errors += [_relative(error, logits) for error in _of_top(rows, logits)]
    else:
        errors.append(_relative(rows["logits"] - logits, logits))
    return np.max(errors, axis=0)


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
