"""What a step reads of its teacher is looked at before anything is trained on it."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS, ce, kd, lr_kl
from kdjax.training.step import TeacherResults, make_train_step
from kdjax.training.update import unusable_rows
from kdjax.types import Batch, Outputs
from tests.training.updates import INF, NAN, one_of, reason_of, updated


def stepper(classes, batch, methods, members=0):
    """A jitted (teacher's logits) -> name -> metrics of one update of each method."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(batch, classes, 1, 1)).astype(np.float32)
    label = np.arange(batch, dtype=np.int32) % classes
    rows = Batch(image, label, np.arange(batch, dtype=np.int32), label * 0, {})
    pairs = {name: one_of(classes, method) for name, method in methods.items()}

    @jax.jit
    def step(logits):
        each = jnp.stack([logits] * members, 1) if members else None
        teacher = TeacherResults(Outputs(logits, {"pooled": logits}, each))
        return {name: updated(*pair, teacher, rows)[1] for name, pair in pairs.items()}

    return step, rng.normal(size=(batch, classes)).astype(np.float32)


def supervised(classes, batch) -> dict:
    """Every method whose rules read the teacher's logits alone, with its defaults."""
    facts = {"num_classes": classes, "num_examples": batch, "steps_per_epoch": 1.0}
    facts |= {"total_steps": 10, "temperature": 4.0, "alpha": 0.5, "weight": 1.0}
    facts |= {"train_labels": np.arange(batch) % classes, "batch_size": batch}
    methods = {}
    for name in METHODS:
        build = METHODS[name] if callable(METHODS[name]) else METHODS[name].build
        takes = inspect.signature(build).parameters
        needed = {key for key, one in takes.items() if one.default is one.empty}
        if needed - facts.keys():
            continue
        needed |= takes.keys() & {"num_classes"}  # which a run gives
        method = build(**{key: facts[key] for key in needed})
        plain = not method.needs and method.networks == 1 and not method.mixture
        if method.supervisor and plain and not method.second_view:
            if not method.connectors and not method.teacher_features:
                methods[name] = method
    return methods


# One of each kind of rule: temperature, adjustment, revision, standardisation.
KINDS = ("kd", "ka_ps", "dtd_flsw", "lr_kl", "lskd")


@pytest.mark.parametrize(
    "names", [KINDS, pytest.param(None, marks=pytest.mark.long)], ids=["kinds", "all"]
)
def test_every_rule_set_skips_what_its_teacher_says_in_nan(names):
    """[64, 100] of NaN, whose softmax XLA's CPU backend makes uniform."""
    every = supervised(100, 64)
    assert len(every) > 20 and {*KINDS, "dkd", "wttm"} <= every.keys()
    methods = {name: every[name] for name in names or every} | {"ce": ce.build()}
    step, good = stepper(100, 64, methods)
    for name, row in step(good).items():
        assert reason_of(row) == "", name
    some = good.copy()
    some[5, 7] = INF
    for bad in (np.full_like(good, NAN), np.full_like(good, -INF), some):
        for name, row in step(bad).items():
            assert reason_of(row) == ("" if name == "ce" else "teacher"), name


@pytest.mark.parametrize("classes, batch", [(10, 512), (1000, 8), (1000, 512)])
def test_one_row_of_any_batch_is_enough(classes, batch):
    methods = {
        "kd": kd.build(alpha=1.0, temperature=4.0),
        "lr_kl": lr_kl.build(),
    }
    step, good = stepper(classes, batch, methods, members=2)
    assert {reason_of(row) for row in step(good).values()} == {""}
    for value in (NAN, INF, -INF):
        bad = good.copy()
        bad[-1] = value
        assert {reason_of(row) for row in step(bad).values()} == {"teacher"}


@pytest.mark.parametrize("microbatches", [1, 2])
def test_outputs_of_a_cache_are_looked_at_too(microbatches):
    """The teacher's outputs come with the batch; one row of them is infinite."""
    pairs = {
        "kd": one_of(4, kd.build(alpha=1.0, temperature=4.0)),
        "ce": one_of(4, ce.build()),
    }
    image = np.arange(32, dtype=np.float32).reshape(8, 4, 1, 1) % 3
    zeros = np.zeros(8, np.int32)

    def gather(source, rows):
        outputs = Outputs(rows["logits"], {})
        count = zeros[: len(rows["logits"])]
        return Batch(image[: len(count)], count, count, count, {}, None, outputs)

    step = make_train_step(
        {name: student for name, (student, _) in pairs.items()},
        None,
        gather,
        lambda batch, view, kind: batch.image,
        accumulation_steps=microbatches,
    )
    step = jax.jit(step)
    states = {name: state for name, (_, state) in pairs.items()}
    logits = np.zeros((8, 4), np.float32)
    for row, reason in ((0.0, ""), (INF, "teacher")):
        logits[5] = row
        after, metrics = step(states, None, None, {"logits": logits})
        found = {name: reason_of(row) for name, row in metrics.items()}
        assert found == {"kd": reason, "ce": ""}
        moved = after["kd"].params["w"] != states["kd"].params["w"]
        assert bool(moved) == (reason == "")


def test_a_masked_class_is_no_fault():
    logits = np.array([[0, -INF, 1], [-INF] * 3, [0, INF, 1], [NAN, -INF, 0]])
    for found in (unusable_rows(jnp.array(logits)), unusable_rows(logits, np)):
        assert found.tolist() == [False, True, True, True]
