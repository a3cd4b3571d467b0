"""Methods without a teacher train on the run's selection alone, each of them."""

import inspect

import jax
import numpy as np
import pytest

from kdjax.methods import METHODS
from tests.methods.field import FACTS
from tests.objectives import objective

BATCH, CLASSES = 8, FACTS["num_classes"]
GIVEN = FACTS | {"noise_rate": 0.2, "warmup_epochs": 1.0, "link": "ce", "spread": 4.0}
GIVEN |= {"alpha": 0.0, "temperature": 4.0, "teacher_channels": 8}  # kd without one
# dividemix has a selection of its own, and tests.
NAMES = (
    *("ce", "kd", "chain", "kdcl", "tickets", "gce", "sce", "elr"),
    *("coteaching", "coteaching_plus"),
)


def build(name):
    """The method, by what a run gives and the arguments that have no default."""
    build = METHODS[name].build
    takes = inspect.signature(build).parameters.items()
    empty = inspect.Parameter.empty
    needed = [key for key, one in takes if one.default is empty or key in FACTS]
    return build(**{key: GIVEN[key] for key in needed})


@pytest.mark.parametrize("name", NAMES)
def test_samples_that_are_not_selected_teach_nothing(name):
    method = build(name)
    rng = np.random.default_rng(0)
    networks = (method.networks,) if method.networks > 1 else ()
    logits = np.float32(rng.normal(size=(BATCH, *networks, CLASSES)))
    labels, keep = np.arange(BATCH) % CLASSES, np.arange(BATCH) % 2
    slope = jax.grad(lambda s: objective(method, s, None, labels, np.float32(keep)))
    by_sample = np.abs(slope(logits)).reshape(BATCH, -1).max(-1)
    assert not method.needs_teacher
    assert (by_sample[keep == 0] == 0).all() and by_sample[keep == 1].any()


def test_no_such_method_is_missing():
    without = {name for name in METHODS if not build(name).needs_teacher}
    assert without == {*NAMES, "dividemix"}
