"""What a step skips, what a skipped step leaves alone, and when a run is given up."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import ce
from kdjax.training import guards, update
from kdjax.training.loop import NonFinite
from kdjax.training.optimizers import sgd
from kdjax.training.plan import Plan
from kdjax.training.schedules import constant_schedule
from kdjax.training.state import TrainState
from kdjax.training.update import REASONS, Gradients, apply_finite
from tests.training.loops import drive
from tests.training.updates import INF, NAN, one_of, reason_of

# The update.


def planted(**changes):
    """(student, state with something in every part, gradients of a finite step)."""
    student, state = one_of(4, ce.build(), ema_decay=0.5, **changes)
    pieces = {"temperature": jnp.ones(3), "memory": {"bank": jnp.ones((4, 2))}}
    state = dataclasses.replace(
        state,
        batch_stats={"mean": jnp.ones(2)},
        supervision_state=state.supervision_state | pieces,
    )
    state = dataclasses.replace(
        state, ema=state.ema | {"batch_stats": {"mean": jnp.zeros(2)}}
    )
    following = {
        "batch_stats": {"mean": jnp.full(2, 2.0)},
        "supervision_state": state.supervision_state
        | jax.tree.map(lambda x: x + 1, pieces),
        "connectors": {},
    }
    return student, state, following


def faulty(gradient=1.0, loss=1.0, mean=None, teacher=None, rate=None, **changes):
    if rate is not None:
        changes["optimizer"] = sgd(schedule=constant_schedule(learning_rate=rate))
    student, state, following = planted(**changes)
    if mean is not None:
        following["batch_stats"] = {"mean": jnp.full(2, mean)}
    metrics = {"loss": jnp.float32(loss)}
    if teacher is not None:
        metrics[update.TEACHER] = jnp.float32(teacher)
    computed = Gradients({"w": jnp.float32(gradient)}, following, metrics)
    return state, *apply_finite(student, state, computed)


FAULTS = {
    "loss": ({"loss": NAN}, {"loss": -INF}, {"loss": INF, "gradient": NAN}),
    "gradient": ({"gradient": INF}, {"gradient": NAN}, {"gradient": 1e30}),
    "update": ({"rate": 1e38, "gradient": 10.0}, {"rate": INF}, {"mean": INF}),
    "teacher": ({"teacher": 0.01}, {"teacher": 1.0, "loss": NAN}),
}
CASES = [(reason, fault) for reason, faults in FAULTS.items() for fault in faults]


@pytest.mark.parametrize("reason, fault", CASES, ids=str)
def test_a_skipped_step_changes_nothing_but_its_number(reason, fault):
    before, after, metrics = faulty(**fault)
    assert reason_of(metrics) == reason and update.TEACHER not in metrics
    assert int(after.step) == 1
    after = dataclasses.replace(after, step=before.step)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_a_step_without_a_fault_changes_every_part():
    before, after, metrics = faulty(teacher=0.0)
    assert reason_of(metrics) == ""
    for field in dataclasses.fields(TrainState):
        old, new = getattr(before, field.name), getattr(after, field.name)
        pairs = zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)
        moved = [bool(np.any(a != b)) for a, b in pairs]
        assert any(moved) or field.name == "connectors", field.name


def test_a_connector_that_overflows_skips_the_step():
    student, state, following = planted()
    connectors = {"c": {"params": {"k": jnp.ones(2)}, "state": {}}}
    rate = type("Connector", (), {"rate": 1.0})
    method = dataclasses.replace(student.method, connectors={"c": rate})
    student = dataclasses.replace(student, method=method)
    state = dataclasses.replace(state, connectors=connectors)
    state = dataclasses.replace(state, opt_state=student.optimizer.init(state.trained))
    gradients = {
        "network": {"w": jnp.float32(1.0)},
        "connectors": {"c": {"k": jnp.array([1.0, INF])}},
    }
    following |= {"connectors": connectors}
    computed = Gradients(gradients, following, {"loss": jnp.float32(1.0)})
    after, metrics = apply_finite(student, state, computed)
    assert reason_of(metrics) == "gradient"
    jax.tree.map(np.testing.assert_array_equal, state.connectors, after.connectors)


# Spikes of the loss.


def spiked(losses, times=3.0):
    """The reasons of steps with those losses, and the state after them."""
    student, state, following = planted(loss_spike=times)
    reasons = []
    for loss in losses:
        state_changes = following | {"supervision_state": state.supervision_state}
        computed = Gradients(
            {"w": jnp.float32(0.1)}, state_changes, {"loss": jnp.float32(loss)}
        )
        state, metrics = apply_finite(student, state, computed)
        reasons.append(reason_of(metrics))
    return reasons, state


def test_a_spike_is_skipped_once_there_is_a_mean_and_is_no_part_of_it():
    early, _ = spiked([1.0, 100.0, 1.0])
    assert early == ["", "", ""]
    usual = [1.0, 1.2, 0.8] * 4
    reasons, state = spiked([*usual, 2.9, 3.5, 1.0])
    assert reasons == [*[""] * 13, "loss_spike", ""]
    kept = [*usual, 2.9, 1.0]
    weights = 0.99 ** np.arange(len(kept))[::-1]
    mean = float(state.supervision_state["loss"]["params"]["loss"])
    assert mean == pytest.approx(np.average(kept, weights=weights), rel=1e-5)
    assert int(state.supervision_state["loss"]["count"]) == len(kept)


def test_a_loss_below_zero_has_spikes_too():
    reasons, _ = spiked([-1.0] * 12 + [-0.5, 0.9, 1.5])
    assert reasons[12:] == ["", "", "loss_spike"]
    assert spiked([1.0] * 12 + [NAN, INF])[0][12:] == ["loss", "loss"]


# When a run is given up.


def test_the_share_of_skipped_steps_has_a_limit():
    plan = {"log_every": 7, "evaluate_every": 200.0}
    few = {"bad": range(0, 60, 3)}  # 20, never two in a row
    states, _ = drive(Plan(total_steps=200, max_skipped_share=0.1, **plan), **few)
    assert states == 200
    error, _ = drive(Plan(total_steps=200, max_skipped_share=0.09, **plan), **few)
    assert isinstance(error, NonFinite) and error.exit_code == 3
    assert "in 19 of 200 steps by step 55" in str(error)
    assert "config.guards.max_skipped_share is 0.09" in str(error)


@pytest.mark.parametrize("total, most", [(8, 4), (20, 10), (100, 10), (1000, 100)])
def test_a_short_run_may_lose_more(total, most):
    plan = Plan(total_steps=total, log_every=1, evaluate_every=1, max_skipped_share=0.1)
    assert guards.most_skipped(plan) == most


def test_counts_go_on_where_a_restart_left_them():
    """Nine in a row before the restart, and the tenth after it."""
    plan = Plan(total_steps=60, log_every=50, evaluate_every=50.0, save_every=9)
    counts, listed = {}, []

    def record(step, reasons):
        listed.append((step, reasons))
        return "FILE"

    more = {"skipped": counts, "record_skipped": record}
    states, events = drive(plan, bad=range(9), **more)
    assert counts == {"s": {"steps": 9, "in_a_row": 0, "reasons": {"loss": 9}}}
    saved = next(event for event in events if event[0] == "save")
    assert saved == ("save", 9, False)
    counts["s"]["in_a_row"] = 9
    error, _ = drive(plan, start=9, bad=[9], **more)
    assert "in steps 1 to 10" in str(error) and "listed in FILE" in str(error)
    assert listed == [(step, {"s": "loss"}) for step in range(1, 11)]


def test_a_run_is_given_up_before_its_state_is_saved():
    plan = Plan(total_steps=60, log_every=50, evaluate_every=50.0, save_every=10)
    error, events = drive(plan, bad=range(60))
    assert isinstance(error, NonFinite)
    assert not [event for event in events if event[0] == "save"]


def test_a_message_names_the_teacher():
    row = {"skipped": np.float32(REASONS.index("teacher"))}
    plan = Plan(total_steps=100, log_every=1, evaluate_every=1)
    with pytest.raises(NonFinite, match="what kd reads of its teacher was not finite"):
        guards.count({}, [{"kd": row}] * 10, 10, plan, lambda *_: "")
