"""What a study is expected to take: work as counted, pace as measured, its configs."""

import importlib

import pytest

from kdjax.bench.flops import of_image
from kdjax.cli import reproduce
from kdjax.contracts import InputError
from kdjax.models import create
from kdjax.reproduce import estimates, imagenet, run, sweeps
from kdjax.reproduce.estimates import CIFAR100, Part, cpu_hours


@pytest.mark.parametrize(
    "name, side, classes", [("resnet8", 32, 100), ("wrn_16_2", 32, 100)]
)
def test_the_work_of_a_network_is_what_is_counted(name, side, classes):
    network = create(name, num_classes=classes)
    work = of_image(network, (side, side, 3), images=2)
    assert estimates.WORK[name] == pytest.approx((work.total, work.bytes), rel=1e-4)


def test_the_pace_fits_rates_that_it_was_not_made_of():
    """Eight students in one program: 20 (19 - 21) and 22 (21 - 24) images/s."""
    for teacher, slowest, fastest in (("wrn_28_4", 19, 21), ("", 21, 24)):
        hours = cpu_hours([Part(teacher, "wrn_16_2", 8, 3600)])
        assert slowest <= 1 / hours <= fastest


def test_the_roof_of_a_chip_by_hand():
    """100 epochs of ResNet-34 -> ResNet-18: 18.2 GFLOP an image."""
    part = Part("resnet34", "resnet18", 1, 1e6)
    flops = 1e6 * (3 * 3.62815e9 + 7.32752e9) / 197e12 / 8
    hours = estimates.roof_hours([part], "TPU v5 lite", 8, "bfloat16")
    moved = 1e6 * (14 * 9934850 + 4.5 * 14952400) / 2 / 819e9 / 8
    assert hours == pytest.approx(max(flops, moved) / 3600)


def test_all_pairs_of_the_benchmark_are_planned(capsys):
    """13 students and 6 teachers; by hand, of the README's two tables."""
    assert reproduce.main(["repdistiller", "--plan"]) == 0
    *_, what, cpu, _, _ = capsys.readouterr().out.splitlines()
    assert what.startswith("configs/cifar100/repdistiller.py: 13 pairs by one method")
    assert "19 networks; 228,000,000 images" in what and "ESTIMATE" in cpu


def test_a_network_whose_work_is_not_known_has_no_estimate():
    what, why = estimates.lines([Part("", "own:network", 1, 10.0)], "one run")
    assert what.startswith("one run; 10 images")
    assert why == "hours: not measured, and no work is known of own:network"


@pytest.mark.parametrize("name, hours", [("AMD EPYC 7", 0.5), ("Other", 1.0)])
def test_other_machines_are_named(monkeypatch, name, hours):
    monkeypatch.setattr("kdjax.distributed.devices.processor", lambda: name)
    monkeypatch.setattr(estimates.os, "cpu_count", lambda: 4)
    _, line, *_ = estimates.lines([Part("", "wrn_16_2", 1, 3600 * 184 * 1.5)], "x")
    if name == "Other":
        assert "4 cores of Other: not measured; 1.5 hours there: ESTIMATE" in line
    else:
        assert "4 cores of AMD EPYC 7: 45 minutes, ESTIMATE" in line
        assert line.endswith(", in proportion to the cores")


def test_the_sweeps_have_so_many_networks():
    grids = {
        "temperatures": "temperatures",
        "noisy_labels": "noisy_labels",
        "corrections": "corrections",
    }
    students, parts = sweeps._students(), sweeps._parts()
    for sweep, module in grids.items():
        config = importlib.import_module(f"configs.cifar100.{module}")
        grid = config.get_grid()
        count = len(next(v for k, v in grid.items() if k != "seed"))
        assert students[sweep] == count
        epochs = config.get_config().total_epochs
        images = len(grid["seed"]) * epochs * CIFAR100
        model = config.get_config().model.name
        assert Part("wrn_28_4", model, count, images) in parts
    detectors = importlib.import_module("configs.cifar100.detectors")
    config, grid = detectors.get_config(), detectors.get_grid()
    trained = [stage for stage in config.stages.values() if "select" not in stage]
    images = len(trained) * 9 * config.total_epochs * CIFAR100
    assert len(grid["seed"]) * len(grid["data.noise.rate"]) == 9
    assert Part("", config.model.name, 1, images) in parts


@pytest.mark.parametrize("one", imagenet.TRAININGS, ids=lambda one: one.config)
def test_imagenet_is_planned_as_its_configs_are(one):
    module = importlib.import_module(f"configs.imagenet.{one.config}")
    given = ["runs/b"] if one.config == "lr_ds" else []
    config = module.get_config(*given)
    assert (config.model.name, config.total_epochs) == (one.student, one.epochs)
    grid = getattr(module, "get_grid", lambda: {"method": [0]})()
    assert one.students == len(grid["method"])
    named = one.teacher and f"--config.teacher.workdir=runs/{one.teacher}"
    assert named in module.__doc__


def test_imagenet_only_has_a_plan(capsys):
    assert reproduce.main(["imagenet", "--plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(imagenet.TRAININGS) + 4
    assert "at the roof of one H200" in lines[0] and "ESTIMATE" in lines[0]
    with pytest.raises(InputError, match="expected --plan, which names its configs"):
        reproduce.main(["imagenet"])


def test_a_plan_and_a_report_train_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "run", None)
    where = [f"--runs={tmp_path}/runs", f"--results={tmp_path}/results"]
    assert reproduce.main(["cifar100", "--plan", "--seeds=0,1", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    *runs, what, cpu, h200, v5e = lines
    assert [line.split(":")[0] for line in runs] == [
        "wrn_28_4",
        "wrn_16_2-of-wrn_28_4-seed0",
        "wrn_16_2-of-wrn_28_4-seed1",
    ]
    assert what.startswith("3 of 3 runs to do, 15 networks; 30,000,000 images")
    for line, words in ((cpu, "this machine"), (h200, "one H200"), (v5e, "a v5e-8")):
        assert line.startswith(words) and "ESTIMATE" in line
    assert not list(tmp_path.iterdir())
    assert reproduce.main(["cifar100", "--report", *where]) == 0
    assert "Nothing of this is measured yet." in (tmp_path / "RESULTS.md").read_text()
