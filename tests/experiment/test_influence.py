"""From what networks say to the samples that are kept: targets, sign and shares."""

import types

import numpy as np
import pytest

from kdjax.experiment.influence import Influence
from kdjax.runner import select
from kdjax.selection import influence
from kdjax.selection.evidence import Evidence
from kdjax.selection.scores import validation_indices

COUNT, CLASSES, ETA = 120, 3, 0.8
RNG = np.random.default_rng(5)
LABELS = np.arange(COUNT, dtype=np.int32) % CLASSES
LOGITS, TEACHER = RNG.normal(0, 2, (2, COUNT, CLASSES)).astype(np.float32)
FEATURES = RNG.normal(size=(COUNT, 5)).astype(np.float32)
IMAGES = types.SimpleNamespace(train=types.SimpleNamespace(label=LABELS))


def kept(**changes):
    answers = [{"logits": LOGITS, "features": FEATURES}]
    return Influence(eta=ETA, **changes).keep(IMAGES, answers, TEACHER)


def scores():
    """By the estimator itself, on targets revised here by the paper's equation."""
    q = np.exp(TEACHER - TEACHER.max(1, keepdims=True).astype(np.float64))
    q /= q.sum(1, keepdims=True)
    own = q[np.arange(COUNT), LABELS]
    beta = (ETA / (q.max(1) - own + 1))[:, None]
    targets = beta * q + (1 - beta) * np.eye(CLASSES)[LABELS]
    return influence.influence_scores(
        "teacher_influence",
        evidence=Evidence(LOGITS, FEATURES, LABELS),
        targets=targets.astype(np.float32),
        validation=validation_indices(LABELS, 0.1, seed=0),
    ).values


@pytest.mark.parametrize("largest", (False, True))
def test_the_most_helpful_samples_are_kept(largest):
    order = np.argsort(-scores() if largest else scores())
    result = kept(keep_ratio=0.25, largest=largest)
    assert set(np.flatnonzero(result.keep)) == set(order[: COUNT // 4])


@pytest.mark.parametrize("given", ({}, {"validation_fraction": 0.25, "seed": 4}))
def test_a_reference_can_leave_out_what_its_scores_stand_on(given, monkeypatch):
    """Exactly the samples that the estimator is given as unseen ones."""
    asked, original = [], influence.influence_scores

    def listen(*args, validation, **others):
        asked.append(validation)
        return original(*args, validation=validation, **others)

    monkeypatch.setattr(influence, "influence_scores", listen)
    kept(**given)
    chosen, _ = select.without_validation(images=IMAGES, **given)
    left_out = np.flatnonzero(~chosen.keep)
    np.testing.assert_array_equal(left_out, np.sort(asked[0]))
    assert 0 < len(left_out) < COUNT / 2


def test_every_class_keeps_its_share_where_that_is_asked_for():
    result = kept(keep_ratio=0.25, class_balanced=True)
    assert (
        np.bincount(LABELS[result.keep]).tolist() == [COUNT // CLASSES // 4] * CLASSES
    )
