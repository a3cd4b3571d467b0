"""What each of several processes could see differently: all take what the first takes,
or none goes on."""

import collections
import json
import pathlib
import shutil
import textwrap

import jax
import numpy as np
import pytest

from kdjax import checkpoints
from kdjax.checkpoints import Checkpointer
from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment import schema
from kdjax.methods import ce
from kdjax.runner import cache, run, sample_weights, select, trainer
from kdjax.sweeps.axes import read_axes
from kdjax.sweeps.trials import OF_HOST, in_common, make_trials
from tests.distributed.jobs import ROOT, Job, by_hand
from tests.experiment import configs
from tests.networks import linear
from tests.training.problems import CLASSES, Problem, student

FRAME = """
import argparse, json, pathlib, sys
import jax
from kdjax import __main__, checkpoints
from kdjax.distributed import collectives, runtime

def run():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=pathlib.Path)
    runtime.add_flags(parser)
    options = parser.parse_args(sys.argv[1:])
    with runtime.joined(options):
{}

try:
    run()
except BaseException as error:
    code = __main__.exit_code("test", error)
    if code is None:
        raise
    sys.exit(code)
"""
ALONE = """
jax.devices()
def read():
    meta, _ = checkpoints.read_meta(options.directory)
    variables = checkpoints.read_variables(options.directory, meta["step"], "s")
    return [meta["step"], checkpoints.digest(variables)]
print(json.dumps(collectives.broadcast(read)), flush=True)
"""


def program(body: str) -> tuple[str, str]:
    """Python's words for a body that runs while the processes are joined."""
    return "-c", FRAME.format(textwrap.indent(body, 8 * " "))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> pathlib.Path:
    """One student after one step, and after two."""
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    students = {"s": student(ce.build(), network=linear(CLASSES))}
    problem = Problem(2, students, teacher=False)
    checkpointer = Checkpointer(directory, ("s",), {"students": {"s": {}}})
    states = problem.initialise()
    for step in (1, 2):
        states, _ = problem.run(states, step - 1, step)
        checkpointer.save(step, states, None)
    checkpointer.wait()
    checkpointer.close()
    return directory


def test_one_of_two_processes_reads_a_checkpoint_alone(saved, tmp_path):
    """Orbax would let it wait for the others."""
    job = Job(tmp_path, [saved], flags=by_hand(2), module=program(ALONE))
    assert job.codes(60) == [0, 0], job.text()
    digest = checkpoints.digest(checkpoints.read_variables(saved, 2, "s"))
    for log in job.logs:
        assert json.dumps([2, digest]) in log.read_text()


RESTORE = """
from kdjax.checkpoints import checkpointer, storage
from kdjax.methods import ce
from kdjax.training import sharding
from tests.networks import linear
from tests.training.problems import CLASSES, Problem, student

students = {"s": student(ce.build(), network=linear(CLASSES))}
problem = Problem(None, students, teacher=False)
same = sharding.replicated(problem.mesh)
abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=same),
    jax.eval_shape(problem.initialise),
)
saver = checkpointer.Checkpointer(options.directory, ("s",), {})
if jax.process_index() == 1:
    def broken(manager, step, *rest, whole=storage.check_shapes):
        if step == 2:
            raise OSError("bad sector")
        whole(manager, step, *rest)
    storage.check_shapes = broken
states, meta = saver.restore_latest(abstract, collectives.log)
variables = states["s"].params, states["s"].batch_stats
restored = [meta["step"], checkpoints.digest(variables)]
print(json.dumps(restored), flush=True)
states, _ = problem.run(states, 1, 2)
saver.save(2, states, None)
saver.close()
"""


def test_what_one_of_two_processes_cannot_read_is_set_aside_by_both(saved, tmp_path):
    """Orbax would let the other one wait, in a collective of its own."""
    digest = checkpoints.digest(checkpoints.read_variables(saved, 1, "s"))
    directory = tmp_path / "checkpoints"
    shutil.copytree(saved, directory)
    job = Job(tmp_path, [directory], flags=by_hand(2), module=program(RESTORE))
    assert job.codes(60) == [0, 0], job.text()
    for log in job.logs:
        assert json.dumps([1, digest]) in log.read_text()
    damaged = "checkpoint 2 is damaged (StorageError: another process cannot read it)"
    assert damaged in job.logs[0].read_text()
    names = {path.name for path in directory.iterdir()}
    assert names == {"1", "2", "2.damaged"}


@pytest.fixture
def second(monkeypatch):
    """This process is the second of two; what the first one broadcasts can be set."""
    values = []
    monkeypatch.setattr(collectives, "_group", ProcessGroup(values))
    return values


class ProcessGroup:
    """Of a second process, with all that the first one broadcasts set in advance."""

    process, processes = 1, 2

    def __init__(self, values):
        self.values = values

    def broadcast(self, make):
        return self.values.pop(0)


@pytest.mark.errors
def test_a_host_that_sees_other_checkpoints_does_not_begin(second):
    class Checkpointer:
        def steps(self):
            return [8]

        def restore_latest(self, *_):
            raise AssertionError("it went on")

    second.append({"steps": [4, 8]})
    experiment = type("Experiment", (), {"students": {}, "teacher": None})
    experiment.train = type("Split", (), {"image": np.zeros((1, 2, 2, 3))})
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    with pytest.raises(InputError, match=r"steps is \[8\] here and \[4, 8\] in"):
        trainer.begin(experiment, Checkpointer(), mesh)


@pytest.mark.errors
def test_a_host_that_restored_another_step_does_not_go_on(second):
    class Checkpointer:
        def steps(self):
            return [4, 8]

        def restore_latest(self, *_):
            return {}, {"step": 4, "checksums": {"variables": [1]}}

    second += [{"steps": [4, 8]}, {"step": 4, "checksums": {"variables": [2]}}]
    experiment = type("Experiment", (), {"students": {}, "teacher": None})
    experiment.train = type("Split", (), {"image": np.zeros((1, 2, 2, 3))})
    mesh = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1])
    with pytest.raises(InputError, match="this checkpoint: checksums is"):
        trainer.begin(experiment, Checkpointer(), mesh)


def test_sample_info_is_that_of_the_first_process(second, tmp_path):
    for step in (3, 6):
        (tmp_path / "s").mkdir(exist_ok=True)
        np.savez(tmp_path / "s" / f"{step}.npz", keep=np.array([step]))
    assert sample_weights._newest(tmp_path / "s", 6) == 3
    second.append(3)  # of a directory where 6 has not come yet

    class SelectionSchedule:
        start = {}

        def due(self, step, steps_per_epoch):
            return step == 3

    taken = sample_weights.SampleInfo.__new__(sample_weights.SampleInfo)
    taken.schedules, taken.directory = {"s": SelectionSchedule()}, tmp_path
    taken.experiment = type("Experiment", (), {"steps_per_epoch": 3})
    assert taken._saved("s", 9)["keep"] == [3]


def trials(**grid):
    """Of a sweep of a host: its grid, and where its data lie."""
    config = schema.base()
    config.data.data_dir = grid.pop("data_dir", "/data")
    axes = read_axes({}, [f"{key}={value}" for key, value in grid.items()])
    return in_common(make_trials(config, axes))


@pytest.mark.errors
@pytest.mark.parametrize(
    "grid, message",
    (
        ({"seed": "1,3"}, "trial seed-2 is None here"),
        ({"seed": "2,1"}, "config.seed is 2 here and 1 in"),
        ({"seed": "1,2", "batch_size": "64"}, "config.batch_size is 64 here and 128"),
    ),
)
def test_hosts_with_other_trials_do_not_sweep(second, grid, message):
    same = trials(seed="1,2")
    second += [same, same]
    collectives.assert_equal("this sweep", trials(seed="1,2", data_dir="/elsewhere"))
    with pytest.raises(InputError, match=f"this sweep: .*{message}"):
        collectives.assert_equal("this sweep", trials(**grid))


@pytest.mark.errors
def test_a_sweep_of_two_processes_with_other_trials(tmp_path):
    flags = by_hand(2)
    for number, own in enumerate(flags):
        own.append(f"--grid.seed=1,{2 + number}")
    config = ROOT / "configs" / "fashion_mnist" / "teacher.py"
    words = ["sweep", f"--config={config}", f"--workdir={tmp_path / 'w'}", "--dry_run"]
    job = Job(tmp_path, words, flags=flags)
    assert job.codes(60) == [2, 2], job.text()
    assert "process 1: this sweep: trial seed-2 is None here" in job.text()


@pytest.mark.usefixtures("own_networks")
def test_hosts_compare_how_they_augment(data_dir, tmp_path, monkeypatch):
    """Each crops and mirrors its own rows; where data lie is each one's own affair."""
    compared = collections.defaultdict(dict)

    def note(what, value):
        compared[what] |= value

    monkeypatch.setattr(collectives, "assert_equal", note)
    config = configs.teacher(data_dir)
    config.model, config.teacher.network = {"name": "tests.networks:linear"}, ""
    config.total_steps, config.total_epochs, config.data.padding = 1, 0.0, 3
    run.run(config, tmp_path / "run")
    plain = config.to_dict()
    select.select(plain | {"select": {"name": "random", "keep_ratio": 0.5}}, tmp_path)
    plain["teacher"]["workdir"] = str(tmp_path / "run")
    cache.CacheRequest.load(plain, tmp_path)
    for what in ("this run", "this cache", "this selection"):
        assert compared[what]["config.data.padding"] == 3
        assert not {f"config.{key}" for key in OF_HOST} & compared[what].keys()
    assert compared["this cache"]["seed"] == config.seed


@pytest.mark.errors
def test_a_selections_network_is_the_same_everywhere(second, monkeypatch):
    trained = type("Trained", (), {"identity": {"step": 8, "digest": "b"}})
    monkeypatch.setattr(select, "load_trained", lambda *_: trained)
    second.append({"step": 12, "digest": "a"})
    with pytest.raises(InputError, match="this selection's network: digest is 'b' he"):
        select._load({"workdir": "w"}, {})
