"""The images on which a student and its teacher disagree most."""

import numpy as np

from kdjax.analysis.confusion import probabilities
from kdjax.analysis.disagreement import most_disagreed
from kdjax.analysis.outputs import Compared
from kdjax.reporting.blocks import Section
from kdjax.reporting.evidence.charts import names_of, percent
from kdjax.reporting.evidence.thumbnails import ImageAt, gallery

_IMAGES = 6  # of each student


def disagreement(compared: Compared, image_at: ImageAt) -> Section | None:
    """A gallery a student; `image_at` gives the test image of a row of the outputs."""
    if not compared.teacher_of:
        return None
    text = (
        "Test images with the largest Jensen-Shannon divergence between the softmax of "
        f"the student's and of the teacher's logits, out of {compared.images}; from 0 "
        "to 0.69 nats. Below each: its label, then the most probable class by teacher "
        "and by student."
    )
    names, galleries = names_of(compared.class_names), []
    for student, teacher in compared.teacher_of.items():
        both = [compared.networks[one].logits for one in (student, teacher)]
        indices, scores = most_disagreed(*both, _IMAGES)
        answers = [_answers(logits[indices], names) for logits in both]
        captions = [
            (int(i), f"{names[compared.labels[i]]} · teacher: {t} · student: {s}")
            for i, s, t in zip(indices, *answers, strict=True)
        ]
        best = f"{student}: divergence {scores[0]:.2f} to {scores[-1]:.2f} nats."
        galleries += [best, gallery(image_at, captions)]
    title = "Images on which teacher and student disagree most"
    return Section(title, [text, *galleries])


def _answers(logits: np.ndarray, names: list[str]) -> list[str]:
    """The most probable class of each row, and how probable it is."""
    return [
        f"{names[row.argmax()]} {percent(row.max())}" for row in probabilities(logits)
    ]
