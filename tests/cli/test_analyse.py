"""What analyse says of a run, computed once more from the checkpoints."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from kdjax import checkpoints
from kdjax.cli import analyse
from kdjax.contracts import InputError
from kdjax.experiment.build import build
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
    with pytest.raises(InputError, match="'boot' is not a class.*Did you mean"):
        call(workdirs / "students", *flags, "--classes=boot,Bag,Coat")
    with pytest.raises(InputError, match="expected three class names"):
        call(workdirs / "students", *flags, "--classes=Bag,Coat")
