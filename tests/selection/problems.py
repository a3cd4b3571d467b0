"""Evidence with wrong labels in it, as a proxy that learned the truth would give it."""

import numpy as np

from kdjax.selection.evidence import Evidence

GOLDEN_FEATURES = np.array(
    [
        [2.0, 0.1, 0.0],
        [1.8, -0.1, 0.2],
        [2.1, 0.3, -0.1],
        [0.1, 1.5, 0.2],
        [1.9, 0.0, 0.1],
    ]
)
GOLDEN_FEATURES.setflags(write=False)


def one_class(features) -> Evidence:
    features = np.asarray(features)
    samples = len(features)
    return Evidence(np.zeros((samples, 2)), features, np.zeros(samples, int))


def scattered(seed, samples=40, dimensions=6, classes=3) -> Evidence:
    """No structure: every rule decides about something here, and no class is empty."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(samples) % classes)
    logits = 3 * draw.normal(size=(samples, classes))
    features = draw.normal(size=(samples, dimensions)) + 1.5 * (labels == 0)[:, None]
    return Evidence(logits, features, labels)


def mislabelled(seed, samples=600, classes=4, rate=0.4) -> tuple[Evidence, np.ndarray]:
    """`rate` of the labels drawn from the other classes; the truth comes second."""
    draw = np.random.default_rng(seed)
    truth = np.arange(samples) % classes
    wrong = draw.random(samples) < rate
    labels = (
        np.where(wrong, truth + draw.integers(1, classes, samples), truth) % classes
    )
    directions = np.eye(classes, 16)[truth]
    length = draw.uniform(1, 3, (samples, 1))
    features = length * np.abs(directions + 0.2 * draw.normal(size=(samples, 16)))
    logits = 3 * np.eye(classes)[truth] + draw.normal(size=(samples, classes))
    return Evidence(np.float32(logits), np.float32(features), labels), truth


def reordered(evidence, order) -> Evidence:
    return Evidence(*(part[order] for part in evidence))


def renamed(evidence, names) -> Evidence:
    """Class c is now called names[c]."""
    logits = np.empty_like(evidence.logits)
    logits[:, names] = evidence.logits
    return Evidence(logits, evidence.features, names[evidence.labels])
