"""Every public function of selection, by evidence and numbers of any kind."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

from kdjax import selection
from kdjax.selection.evidence import Evidence
from tests.faults import draws, fuzz

CASES = 25
# They take what the others have checked, and are called by these alone.
INNER = ("curvature", "last_layer", "types")
CHECKED_BEFORE = ("two_means", "mixture_posterior", "classes", "scores_by_class")
CHECKED_BEFORE += ("singular_vectors", "random_bits", "describe_kept", "checked")


def public():
    """Module and name of every function that is not private."""
    for info in pkgutil.iter_modules(selection.__path__):
        module = importlib.import_module(f"kdjax.selection.{info.name}")
        for name, function in vars(module).items():
            own = getattr(function, "__module__", "") == module.__name__
            if inspect.isfunction(function) and own and name[0] != "_":
                yield info.name, name


FUNCTIONS = [
    (module, name)
    for module, name in public()
    if module not in INNER and name not in CHECKED_BEFORE
]
SAMPLES, CLASSES = 12, 2


def labels(drawn):
    return np.arange(SAMPLES) % CLASSES


def evidence(drawn):
    logits = drawn.random.normal(size=(SAMPLES, CLASSES)).astype(np.float32)
    features = drawn.random.normal(size=(SAMPLES, 3)).astype(np.float32)
    return Evidence(logits, features, labels(drawn))


def mask(drawn):
    return drawn.random.integers(0, 2, SAMPLES) > 0


SPECIAL = {
    "evidence": evidence,
    "labels": labels,
    "true_labels": labels,
    "where": lambda drawn: "here",
    "validation": lambda drawn: np.array([0, 3, 5]),
    "targets": lambda drawn: np.full((SAMPLES, CLASSES), 0.5),
    "snapshots": lambda drawn: [(0.1, evidence(drawn))],
    "estimator": lambda drawn: "label_influence",
    "scores": lambda drawn: drawn.random.random(SAMPLES),
    "score": lambda drawn: drawn.random.random(SAMPLES),
    "losses": lambda drawn: drawn.random.random(SAMPLES),
    "probabilities": lambda drawn: drawn.random.random(SAMPLES),
    "keep": mask,
    "kept": mask,
    "basis": lambda drawn: None,
    "keeps": lambda drawn: (mask(drawn), mask(drawn)),
    "samples": lambda drawn: SAMPLES,
    "count": lambda drawn: None,
    "ratio": lambda drawn: 0.5,
    "seed": lambda drawn: 1,
    "class_names": lambda drawn: ("a", "b"),
    "audited": lambda drawn: 8,
    "exact_up_to": lambda drawn: 4096,
    "damping": lambda drawn: 0.01,
    "keep_ratio": lambda drawn: 0.5,
}


def changed(drawn, given, plan):
    """One field of the evidence, or all of it, is of another kind."""
    for change in plan.changes[1:]:
        if isinstance(given.get("evidence"), Evidence):
            name = Evidence._fields[change.argument % 3]
            new = drawn.changed(getattr(given["evidence"], name), change)
            given["evidence"] = given["evidence"]._replace(**{name: new})
    return given


@fuzz.times
@pytest.mark.parametrize("module, name", FUNCTIONS)
def test_any_arguments(module, name, times):
    function = getattr(importlib.import_module(f"kdjax.selection.{module}"), name)

    def one(plan):
        first = plan._replace(changes=plan.changes[:1])
        given, variadic, drawn = draws.call_of(function, first, SPECIAL)
        given = changed(drawn, given, plan)
        positional = [v for key in variadic for v in fuzz.listed(given.pop(key))]
        try:
            value = function(*positional, **given)
        except Exception as error:
            fuzz.check_error(error)
            return
        for leaf in fuzz.floats_of(value):
            assert not np.isnan(leaf).any()

    fuzz.run(one, CASES * times)


def test_an_unknown_detector_is_no_detector():
    influence = importlib.import_module("kdjax.selection.influence")
    with pytest.raises(ValueError, match="estimator is 3; expected one of teacher_in"):
        influence.influence_scores(3)
