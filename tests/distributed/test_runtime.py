"""One run in several processes: the same numbers as in one, and one end for all."""

import json
import re
import shutil
import time

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.cli import evaluate
from kdjax.experiment import schema
from kdjax.experiment.build import build
from kdjax.reporting.reporter import read_rows
from kdjax.runner import run, trainer
from kdjax.training import sharding
from tests.distributed.jobs import (
    PLAIN,
    RECORDED,
    Job,
    by_hand,
    by_slurm,
    by_torchrun,
    read_records,
    write,
)

RATES = ("images_per_second", "input_percent", "input_process")
TIMES = ("seconds", "time", *(f"train/{key}" for key in RATES))
ALLOW = "--allow_code=tests.networks:tiny,tests.networks:coarse"

# A process that does not find the teacher of a run.
WITHOUT = """
import sys
from kdjax import __main__
from kdjax.runner import evaluate
from kdjax.contracts import InputError
def missing(*_):
    raise InputError("not on this host")

if "--process=NUMBER" in sys.argv:
    evaluate.load_teacher = missing
sys.exit(__main__.main(sys.argv[1:]))
"""

# A process that takes its time between its error and its end, as a busy machine does.
SLOW = """
import sys, time
from kdjax import __main__

code = __main__.main(sys.argv[1:])
time.sleep(2)
sys.exit(code)
"""


def images(count, seed):
    random = np.random.default_rng(seed)
    label = random.integers(0, 5, count)
    noise = random.integers(0, 120, (count, 8, 8, 3))
    return (noise + 25 * label[:, None, None, None]).astype(np.uint8), label


def students(root) -> ConfigDict:
    """Two students of a fixed teacher, on 96 images and 37, which nothing divides."""
    config = schema.base()
    config.model = ConfigDict({"name": "tests.networks:tiny", "width": 4})
    config.teacher.network = "tests.networks:coarse"
    kd = {"name": "kd", "alpha": 0.9, "temperature": 4.0}
    # Renewed during training, from the outputs of all processes.
    selection = {"name": "detector", "detector": "clk", "first_epoch": 1.0}
    config.students = ConfigDict(
        {"kd": {"method": kd, "selection": selection}, "ce": {"method": {"name": "ce"}}}
    )
    config.data.name, config.data.data_dir = "set.npz", str(root)
    config.data.padding, config.data.flip = 1, True
    config.data.mean, config.data.std = (0.4, 0.4, 0.4), (0.2, 0.2, 0.2)
    config.batch_size, config.total_steps, config.log_every_steps = 16, 12, 1
    config.evaluation.batch_size, config.evaluation.every_epochs = 16, 1.0
    config.checkpoint.every_minutes = 1e-4  # after each row; no two clocks agree on it
    config.schedule.learning_rate, config.tensorboard = 0.01, False
    return config


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("hosts")
    arrays = {}
    for split, count in (("train", 96), ("test", 37)):
        arrays[f"{split}_image"], arrays[f"{split}_label"] = images(count, count)
    np.savez(root / "set.npz", **arrays)
    write(root / "students.py", students(root))
    return root


def train(root, workdir, devices, *more, **how):
    words = ["train", f"--config={root / 'students.py'}", f"--workdir={root / workdir}"]
    return Job(root, [*words, f"--devices={devices}", *more], **how)


@pytest.fixture(scope="module")
def whole(root):
    """Two tasks of SLURM with two devices each, and one process with four."""
    together = train(root, "slurm", 2, flags=[[], []], **by_slurm(2)).check()
    train(root, "alone", 4).check()
    return together


@pytest.fixture(scope="module")
def stopped(root):
    """Stopped by SIGTERM to the second of two processes: its directory, the records."""
    out = root / "stopped.record"
    request = {"out": str(out), "at": 3, "signal": "SIGTERM", "slow": 0.3, "late": 0.1}
    how = {"flags": by_hand(2), "module": RECORDED, "RECORD": json.dumps(request)}
    job = train(root, "stopped", 2, **how)
    assert job.codes() == [42, 42], job.text()
    assert "stopped by a signal at step" in job.logs[0].read_text()
    return root / "stopped", read_records(out, 2)


def timeless(workdir):
    """Rows of numbers that do not depend on time."""
    rows = read_rows(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def assert_same(first, second):
    assert [row.keys() for row in first] == [row.keys() for row in second]
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5), one["step"]


def test_tasks_of_slurm_train_what_one_process_trains(root, whole):
    rows, wanted = timeless(root / "slurm"), timeless(root / "alone")
    assert_same(rows, wanted)
    assert [row.get("eval/kd/count", 37.0) for row in rows] == [37.0] * len(rows)
    weights = [
        checkpoints.read_variables(root / name / "checkpoints", 12, "kd")
        for name in ("slurm", "alone")
    ]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *weights
    )


def test_one_process_prints_and_writes(root, whole):
    first, second = (log.read_text() for log in whole.logs)
    assert "2 in each of 2 processes" in first and "one program" in first
    assert not [x for x in second.splitlines() if x and not x.startswith("[Gloo]")]
    assert {path.name for path in (root / "slurm").iterdir()} == {
        *("config.json", "metrics.jsonl", "summary.json", "checkpoints", "sample_info"),
        *(".lock", "logs"),
    }
    assert (root / "slurm" / "summary.json").stat().st_size > 100


def test_each_process_has_a_log(root, whole):
    logs = root / "slurm" / "logs"
    first, second = ((logs / f"process-{i}.log").read_text() for i in (0, 1))
    assert "process 0 of 2 on " in first and "process 1 of 2 on " in second
    # Of what process 0 prints the other one has its own share of input alone.
    assert "2 processes, numbered by slurm" in whole.logs[0].read_text()
    assert "epoch 1  " in first and "epoch 1  " not in second
    assert re.search(r"step 12/12 .* input [\d.]+% \(process [01]\)", first)
    assert re.search(r"step 12/12 .* input [\d.]+% of this one", second)
    assert not (root / "alone" / "logs").exists()


def test_the_largest_input_share_is_reported_and_whose_it_is(stopped):
    """The second of two processes waits for the input of each step."""
    rows = read_rows(stopped[0] / "metrics.jsonl")
    whose = [row["train/input_process"] for row in rows]  # it was never evaluated
    assert len(whose) >= 4 and np.median(whose) == 1  # a busy machine delays the other
    log = (stopped[0] / "logs" / "process-1.log").read_text()
    assert " Preempted: stopped" in log.splitlines()[-1]


def test_evaluate_on_two_hosts_is_exact(root, whole, as_they_are, capsys):
    words = ["evaluate", f"--workdir={root / 'slurm'}", "--devices=2", ALLOW]
    job = Job(root, words, flags=by_hand(2)).check()
    (line,) = [x for x in job.text().splitlines() if x.startswith("{")]
    assert evaluate.main([words[1], ALLOW]) == 0
    wanted = json.loads(capsys.readouterr().out)
    for name, row in json.loads(line)["students"].items():
        assert row["count"] == 37
        assert row == pytest.approx(wanted["students"][name], rel=1e-5)


@pytest.mark.parametrize("number", (pytest.param(0, marks=pytest.mark.long), 1))
def test_evaluate_where_one_host_cannot_load_the_teacher(root, whole, number):
    words = ["evaluate", f"--workdir={root / 'slurm'}", "--devices=1", ALLOW]
    code = WITHOUT.replace("NUMBER", str(number))
    job = Job(root, words, flags=by_hand(2), module=("-c", code))
    assert job.codes(100) == [0, 0], job.text()
    assert "no agreement with the teacher: not on this host" in job.logs[0].read_text()
    (line,) = [x for x in job.text().splitlines() if x.startswith("{")]
    for row in json.loads(line)["students"].values():
        assert row["count"] == 37 and "teacher_kl" not in row


def test_sigterm_to_one_process_stops_and_saves_all_at_one_step(stopped):
    workdir, (first, second) = stopped
    assert first["saved"] == second["saved"]
    step, _ = first["saved"]
    assert 4 <= step < 12
    assert (workdir / "checkpoints" / str(step)).is_dir()
    assert not (workdir / "summary.json").exists()


@pytest.mark.parametrize("devices", (1, 4))
def test_a_state_that_two_processes_saved_comes_back_bit_for_bit(
    root, stopped, devices, tmp_path
):
    workdir, (first, _) = stopped
    shutil.copytree(workdir, tmp_path / "w")
    experiment = build(students(root))
    names, identity = tuple(experiment.students), experiment.identity
    checkpointer = checkpoints.Checkpointer(
        tmp_path / "w" / "checkpoints", names, identity
    )
    mesh = sharding.make_mesh(jax.devices()[:devices])
    states, meta = trainer.begin(experiment, checkpointer, mesh)
    checkpointer.close()
    assert [meta["step"], checkpoints.digest(states)] == first["saved"]
    assert len(jax.tree.leaves(states)[0].devices()) == devices


@pytest.mark.long
def test_four_processes_go_on_with_what_two_saved(root, stopped, whole):
    workdir, (first, _) = stopped
    shutil.copytree(workdir, root / "four")
    out = root / "four.record"
    how = {"flags": by_hand(4), "module": RECORDED}
    train(root, "four", 1, **how, RECORD=json.dumps({"out": str(out)})).check()
    for row in read_records(out, 4):
        assert row["restored"] == first["saved"]
    assert_same(timeless(root / "four"), timeless(root / "alone"))


def test_two_processes_of_torchrun_train_one_run_bit_for_bit(root, stopped, whole):
    """What two others saved goes on; on GPUs each process would have its own."""
    shutil.copytree(stopped[0], root / "two")
    out = root / "two.record"
    how = by_torchrun(2) | {"module": RECORDED, "RECORD": json.dumps({"out": str(out)})}
    job = train(root, "two", 2, flags=[[], []], **how).check()
    assert "2 processes, numbered by torchrun's variables" in job.logs[0].read_text()
    assert [row["visible"] for row in read_records(out, 2)] == ["0", "1"]
    weights = [
        checkpoints.read_variables(root / name / "checkpoints", 12, "kd")
        for name in ("slurm", "two")
    ]
    jax.tree.map(np.testing.assert_array_equal, *weights)
    assert timeless(root / "two") == timeless(root / "slurm")


@pytest.mark.long
def test_one_process_goes_on_with_what_two_saved(root, stopped, whole, as_they_are):
    shutil.copytree(stopped[0], root / "one")
    run.run(students(root), root / "one")
    assert_same(timeless(root / "one"), timeless(root / "alone"))


@pytest.mark.parametrize("module", (PLAIN, ("-c", SLOW)), ids=("plain", "slow"))
def test_an_error_of_one_process_ends_all_with_its_code(root, module):
    flags = by_hand(2)
    flags[1].append("--config.schedule.learning_rate=0.02")
    job = train(root, "wrong", 1, flags=flags, module=module)
    assert job.codes() == [2, 2]
    first, second = (log.read_text() for log in job.logs)
    assert "config.schedule is {'learning_rate': 0.02" in second
    own = [(root / "wrong/logs" / f"process-{i}.log").read_text() for i in (0, 1)]
    assert "process 1 of 2 failed" in own[0] and "InputError: process 1" in own[1]
    assert "process 1 of 2 failed: InputError: process 1: this run" in first


@pytest.mark.long
def test_a_process_that_is_killed_takes_the_others_with_it(root):
    request = {"out": str(root / "killed.record"), "at": 3, "signal": "SIGKILL"}
    how = {"flags": by_hand(2), "module": RECORDED, "RECORD": json.dumps(request)}
    job = train(root, "killed", 1, **how)
    job.processes[1].wait(300)
    start = time.monotonic()
    code, killed = job.codes()
    assert killed == -9 and time.monotonic() - start < 30
    assert code == 42, job.text()


@pytest.mark.long
def test_a_sweep_on_two_hosts(root):
    words = ["sweep", f"--config={root / 'students.py'}", f"--workdir={root / 'grid'}"]
    words += ["--config.students={}", "--config.model.name=tests.networks:coarse"]
    words += ["--config.total_steps=2", "--devices=1", "--grid.seed=0,1"]
    words.append("--grid.method.name=ce,mse")
    job = Job(root, words, flags=by_hand(2)).check()
    assert "4 trials: 0 done, 0 failed, 4 in 2 programs" in job.text()
    results = json.loads((root / "grid" / "results.json").read_text())
    assert len(results["rows"]) == len(list((root / "grid").glob("*/DONE"))) == 4
