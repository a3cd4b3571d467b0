"""Checkpoints: what comes back, what is kept, what a damaged file does."""

import contextlib
import gc
import json
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import checkpoints, signals
from kdjax.checkpoints import (
    Checkpointer,
    StorageError,
    checksums,
    storage,
)
from kdjax.contracts import InputError
from kdjax.methods import ce
from kdjax.paths.json_files import sealed
from kdjax.training import sharding
from tests.networks import linear, tiny
from tests.training.problems import CLASSES, Problem, student

# What Orbax leaves running after a failed read complains when it is collected.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine"
)


META = {"students": {"conv": {}, "flat": {}}, "teacher": None}


@pytest.fixture(scope="module")
def problem():
    """Two students, one of them without any batch statistics."""
    return Problem(
        2,
        {
            "conv": student(ce.build()),
            "flat": student(ce.build(), network=linear(CLASSES)),
        },
        teacher=False,
    )


def scores(conv, flat):
    return {"conv": {"top1": conv}, "flat": {"top1": flat}}


def saved(problem, directory: pathlib.Path, tops) -> dict[int, object]:
    """Saves after each of len(tops) steps; returns the states as host arrays."""
    saver = Checkpointer(directory, ("conv", "flat"), META)
    states, copies = problem.initialise(), {}
    for step, top in enumerate(tops, start=1):
        states, _ = problem.run(states, step - 1, step)
        saver.save(step, states, top)
        copies[step] = jax.tree.map(np.array, states)
    saver.wait()
    saver.close()
    return copies


def abstract(problem, devices):
    same = sharding.replicated(sharding.make_mesh(jax.devices()[:devices]))
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=same),
        jax.eval_shape(problem.initialise),
    )


def restore(problem, directory, devices=2):
    saver, messages = Checkpointer(directory, ("conv", "flat"), META), []
    try:
        return saver.restore_latest(
            abstract(problem, devices), messages.append
        ), messages
    finally:
        saver.close()
        gc.collect()


@pytest.mark.parametrize("devices", (1, 2, 8))
def test_bits_come_back_on_any_number_of_devices(problem, tmp_path, devices):
    copies = saved(problem, tmp_path / "c", [scores(1, 1), scores(2, 2)])
    (states, meta), messages = restore(problem, tmp_path / "c", devices)
    assert messages == []
    assert meta["step"] == 2
    assert meta["students"] == META["students"]
    assert jax.tree.structure(states) == jax.tree.structure(copies[2])
    jax.tree.map(np.testing.assert_array_equal, states, copies[2])
    assert len(jax.tree.leaves(states)[0].sharding.device_set) == devices


def test_the_latest_two_and_each_best_are_kept(problem, tmp_path):
    saved(problem, tmp_path / "c", [scores(9, 1), scores(1, 8), scores(2, 2)])
    # A run that was stopped and resumed still knows its best steps.
    saver = Checkpointer(tmp_path / "c", ("conv", "flat"), META)
    for step in (4, 5):
        saver.save(step, problem.initialise(), scores(step - 1, step - 1))
    saver.wait()
    saver.close()
    steps = sorted(int(p.name) for p in (tmp_path / "c").iterdir() if p.name.isdigit())
    assert steps == [1, 2, 4, 5]
    meta, best = checkpoints.read_meta(tmp_path / "c")
    assert meta["step"] == 5
    assert best == {"conv": 1, "flat": 2}


def test_all_that_were_evaluated_are_kept_on_demand_also_by_a_resumed_run(
    problem, tmp_path
):
    for steps in ((1, 2, 3), (4, 5)):
        saver = Checkpointer(tmp_path / "c", ("conv", "flat"), META, keep_all=True)
        for step in steps:
            # Between two evaluations it is saved too, and the next one replaces that.
            metrics = None if step == 2 else scores(9 - step, 1)
            saver.save(step, problem.initialise(), metrics)
        saver.wait()
        saver.close()
    names = [p.name for p in (tmp_path / "c").iterdir()]
    assert sorted(int(name) for name in names if name.isdigit()) == [1, 3, 4, 5]


def test_what_is_saved_between_evaluations_displaces_no_best(problem, tmp_path):
    rows = [scores(9, 1), None, scores(1, 8), None, None, scores(2, 2), None]
    saved(problem, tmp_path / "c", rows)
    steps = sorted(int(p.name) for p in (tmp_path / "c").iterdir() if p.name.isdigit())
    assert steps == [1, 3, 6, 7]
    meta, best = checkpoints.read_meta(tmp_path / "c")
    assert (meta["step"], best) == (7, {"conv": 1, "flat": 3})


def test_one_student_is_read_as_a_teacher(problem, tmp_path):
    copies = saved(problem, tmp_path / "c", [scores(1, 1)])
    for name in ("conv", "flat"):
        params, stats = checkpoints.read_variables(tmp_path / "c", 1, name)
        jax.tree.map(np.testing.assert_array_equal, params, copies[1][name].params)
        jax.tree.map(np.testing.assert_array_equal, stats, copies[1][name].batch_stats)


def test_a_save_on_a_signal_has_no_scores_and_is_the_latest(problem, tmp_path):
    copies = saved(problem, tmp_path / "c", [scores(1, 1), None])
    (states, meta), _ = restore(problem, tmp_path / "c")
    assert "metrics" not in meta
    jax.tree.map(np.testing.assert_array_equal, states, copies[2])


def array_files(directory: pathlib.Path) -> list[pathlib.Path]:
    """All files with array data; Orbax keeps some of it twice."""
    return [p for p in directory.rglob("d/*") if p.is_file()]


def flip_bit(path: pathlib.Path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: pathlib.Path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", (flip_bit, truncate, pathlib.Path.unlink))
def test_a_damaged_step_is_set_aside_and_the_one_before_is_used(
    problem, tmp_path, damage
):
    copies = saved(problem, tmp_path / "c", [scores(1, 1), scores(2, 2)])
    for path in array_files(tmp_path / "c" / "2" / "variables"):
        damage(path)
    (states, meta), messages = restore(problem, tmp_path / "c")
    assert meta["step"] == 1
    jax.tree.map(np.testing.assert_array_equal, states, copies[1])
    assert len(messages) == 1 and messages[0].startswith("checkpoint 2 is damaged")
    assert (tmp_path / "c" / "2.damaged").is_dir()


@pytest.mark.parametrize("item", ("variables", "training"))
def test_arrays_that_decode_but_differ_from_their_checksum(problem, tmp_path, item):
    """A flipped bit in arrays large enough to be stored unchecked looks like this."""
    copies = saved(problem, tmp_path / "c", [scores(1, 1), scores(2, 2)])
    path = tmp_path / "c" / "2" / "meta" / "metadata"
    meta = json.loads(path.read_text())
    meta["checksums"][item][0] ^= 1
    del meta["checksum"]
    path.write_text(json.dumps(sealed(meta)))
    (states, meta), messages = restore(problem, tmp_path / "c")
    assert meta["step"] == 1
    jax.tree.map(np.testing.assert_array_equal, states, copies[1])
    assert "1 arrays differ from their checksum" in messages[0]


def test_a_wrong_number_is_noticed_where_orbax_notices_nothing(problem, tmp_path):
    """The checksum itself: Orbax restores these numbers without a word."""
    states = problem.initialise()
    before = checksums.checksums(states["conv"].params).tolist()
    kernel = states["conv"].params["Dense_0"]["kernel"]
    changed = kernel.at[0, 0].add(jnp.float32(1e-6))
    params = states["conv"].params | {"Dense_0": {"kernel": changed}}
    params["Dense_0"]["bias"] = states["conv"].params["Dense_0"]["bias"]
    after = checksums.checksums(params).tolist()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize("dtype", ("complex64", "float64", "int64", "complex128"))
def test_arrays_of_more_than_32_bits_have_checksums_too(dtype):
    with jax.enable_x64(True):
        x = jnp.arange(6, dtype=dtype).reshape(2, 3)
        others = [x.at[1, 2].add(1), x.at[0, 0].add(2)]
        if "complex" in dtype:
            others.append(x.at[1, 1].add(1j))
        sums = [checksums.checksums([one]).tolist() for one in (x, x + 0, *others)]
    assert sums[0] == sums[1] and all(one != sums[0] for one in sums[2:])


def test_nothing_saved_is_not_an_error(problem, tmp_path):
    assert restore(problem, tmp_path / "c") == (None, [])


@pytest.mark.errors
def test_another_network_is_not_taken_for_damage(problem, tmp_path):
    saved(problem, tmp_path / "c", [scores(1, 1)])
    wider = student(ce.build(), network=tiny(CLASSES, width=9))
    other = Problem(2, problem.students | {"conv": wider}, teacher=False)
    with pytest.raises(InputError, match=r"had shape \(8,\) and has \(9,\)"):
        restore(other, tmp_path / "c")
    assert (tmp_path / "c" / "1").is_dir()


@pytest.mark.errors
@pytest.mark.parametrize("at", ("restore", "check_shapes"))
def test_a_signal_while_reading_is_no_damage(problem, tmp_path, monkeypatch, at):
    """SIGTERM of a run of several hosts that is still starting up."""
    saved(problem, tmp_path, [scores(0.5, 0.5)] * 2)
    existing = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.setattr(storage, at, lambda *_: signal.raise_signal(15))
    saver = Checkpointer(tmp_path, ("conv", "flat"), META)
    messages = []
    with contextlib.closing(saver):
        with pytest.raises(signals.Stopped), signals.watched("kdjax train"):
            saver.restore_latest(abstract(problem, 1), messages.append)
        with pytest.raises(signals.Stopped), signals.watched("kdjax train"):
            with storage.errors("read", 2):
                signal.raise_signal(signal.SIGTERM)
    assert not messages and sorted(path.name for path in tmp_path.iterdir()) == existing


def test_when_nothing_is_sound_the_run_does_not_start_afresh(problem, tmp_path):
    saved(problem, tmp_path / "c", [scores(1, 1)])
    for path in array_files(tmp_path / "c" / "1" / "variables"):
        truncate(path)
    with pytest.raises(StorageError, match="none of the checkpoints"):
        restore(problem, tmp_path / "c")
    assert (tmp_path / "c" / "1").is_dir()


@pytest.mark.errors
def test_reading_where_nothing_is(tmp_path):
    with pytest.raises(InputError, match="no checkpoints here"):
        checkpoints.read_meta(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.errors
def test_a_step_that_is_not_there(problem, tmp_path):
    saved(problem, tmp_path / "c", [scores(1, 1)])
    with pytest.raises(InputError, match=r"no step 7; expected one of \[1\]"):
        checkpoints.read_variables(tmp_path / "c", 7, "conv")


def test_digests_tell_apart_what_differs():
    tree = {"a": np.zeros((2, 3), np.float32)}
    others = (
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.zeros((2, 3), np.float64)},
        {"a": np.float32([[0, 0, 0], [0, 0, 1e-30]])},
    )
    digests = {checkpoints.digest(other) for other in (tree, *others)}
    assert len(digests) == 5
    assert checkpoints.digest({"a": jnp.zeros((2, 3))}) == checkpoints.digest(tree)
