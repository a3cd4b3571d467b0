"""What analyse says of a run, computed once more from the checkpoints."""

import json
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.cli import analyse
from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.reporting.files import replace_json
from kdjax.reporting.results import read_summary
from kdjax.runner import run
from kdjax.runner.evaluate import SplitRequest, evaluate
from tests.experiment import configs
from tests.networks import tiny

pytestmark = pytest.mark.usefixtures("own_networks")


@pytest.fixture(scope="module")
def workdirs(data_dir, tmp_path_factory):
    root = tmp_path_factory.mktemp("analysed")
    run.run(configs.teacher(data_dir), root / "teacher")
    config = configs.students(data_dir, root / "teacher")
    methods = {n: {"method": configs.METHODS[n]} for n in ("kd", "mse")}
    config.students = ConfigDict(methods)
    config.total_steps = 2
    run.run(config, root / "students")
    return root


def call(*words):
    # The number of devices is the tests', settled long before.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)
        return analyse.main([str(word) for word in words])


def test_distances_and_norms_are_those_of_the_checkpoints(
    workdirs, data_dir, tmp_path, capsys
):
    where = workdirs / "students"
    assert call(where, f"--output={tmp_path}", f"--data_dir={data_dir}") == 0
    summaries = json.loads((tmp_path / "analysis.json").read_text())
    assert list(summaries) == ["kd", "mse"]
    experiment = build(configs.teacher(data_dir))
    images = experiment.augment.evaluate(experiment.train.image)

    def outputs_of(workdir, name):
        meta, _ = checkpoints.read_meta(workdir / "checkpoints")
        variables = checkpoints.read_variables(
            workdir / "checkpoints", meta["step"], name
        )
        outputs = tiny(10, width=4).evaluate(*variables, images)
        return np.float64(outputs.logits), np.float64(outputs.features["pooled"])

    teacher, _ = outputs_of(workdirs / "teacher", "ce")
    for name in summaries:
        logits, features = outputs_of(where, name)
        d = logits - teacher
        row = summaries[name]
        expected = np.median(np.linalg.norm(d, axis=-1))
        assert row["logit_distance/median"] == pytest.approx(expected, rel=1e-4)
        gap = -(d.sum(-1) ** 2) / (2 * 10**2)
        assert row["delta_infinity/mean"] == pytest.approx(gap.mean(), rel=1e-3)
        same = 100 * (logits.argmax(-1) == teacher.argmax(-1)).mean()
        assert row["agreement"] == pytest.approx(same)
    for name in ("logit_distances", "feature_norms", "projections"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "median distance" in capsys.readouterr().out


def test_a_directory_of_runs_is_all_that_had_a_teacher(
    workdirs, data_dir, tmp_path, monkeypatch, capsys
):
    """A sweep's trials lie in directories without checkpoints, beside their program."""
    sweep = tmp_path / "sweep"
    shutil.copytree(workdirs / "teacher", sweep / "reference")
    program = shutil.copytree(workdirs / "students", sweep / "programs" / "one")
    for name in ("kd", "mse"):
        summary = read_summary(program / "summary.json")
        summary["students"] = {"own": summary["students"][name]}
        summary["program"] = {"workdir": "programs/one", "student": name}
        (sweep / name).mkdir()
        replace_json(sweep / name / "summary.json", summary)
    found = []
    stop = lambda members, *_: found.append(members) or 1 / 0  # noqa: E731
    monkeypatch.setattr("kdjax.runner.analyse.compare", stop)
    with pytest.raises(ZeroDivisionError):
        call(sweep, f"--output={tmp_path}", f"--data_dir={data_dir}", "--split=test")
    (members,) = found
    assert list(members) == ["kd/own", "mse/own"]
    assert [one.student for one in members.values()] == ["kd", "mse"]
    assert all(one.run.workdir == program for one in members.values())
    said = capsys.readouterr().err
    assert f"left out, without a teacher: {sweep / 'reference'}\n" in said
    # Arrays have one name, whatever they are.
    for member in members.values():
        member.run.meta["data"]["train"]["name"] = "data.npz"
    members["kd/own"].run.meta["data"]["test"]["sha256"] = "of others"
    monkeypatch.setattr(
        "kdjax.runner.analyse.find", lambda _, name: members.popitem()[1]
    )
    shutil.rmtree(sweep / "reference")
    with pytest.raises(InputError, match="on data.npz, which has other images"):
        call(sweep, f"--output={tmp_path}", f"--data_dir={data_dir}")


def test_a_runs_teacher_is_scored_on_its_training_images(workdirs, data_dir):
    where = SplitRequest("train", str(data_dir))
    of_teacher = evaluate(workdirs / "teacher", where)
    of_students = evaluate(workdirs / "students", where)
    assert "teacher" not in of_teacher  # it had none
    scores, expected = of_students["teacher"], of_teacher["students"]["ce"]
    assert scores == pytest.approx({key: expected[key] for key in scores})
    assert {"top1", "loss", "count"} <= scores.keys()


@pytest.mark.errors
def test_errors(workdirs, data_dir, tmp_path):
    flags = (f"--output={tmp_path}", f"--data_dir={data_dir}")
    with pytest.raises(InputError, match="had no teacher"):
        call(workdirs / "teacher", *flags)
    with pytest.raises(InputError, match="no training in it; expected the --workdir"):
        call(tmp_path, *flags)
    with pytest.raises(InputError, match="'boot' is not a class.*Did you mean"):
        call(workdirs / "students", *flags, "--classes=boot,Bag,Coat")
    with pytest.raises(InputError, match="expected three class names"):
        call(workdirs / "students", *flags, "--classes=Bag,Coat")
