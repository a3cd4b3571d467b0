"""Studies train what the config files say; the protocols are the papers'."""

import inspect
import pathlib

import pytest

from kdjax.experiment.overrides import load_config, load_grid
from kdjax.experiment.selection import by_influence
from kdjax.reproduce.plans import STUDIES, Settings, describe, plan
from kdjax.runner import run

CONFIGS = pathlib.Path(__file__).parent.parent.parent / "configs" / "cifar100"
ROOT = pathlib.Path("/runs")
# What a study may change: where data lie, how often it looks, what else it writes.
FREE = ("data", "evaluation", "tensorboard", "seed", "model", "method", "students")
FREE += ("teacher", "selection", "stages", "order", "published")


def configs(name, **settings):
    runs = plan(STUDIES[name], Settings(**settings), ROOT)
    return {run.name: run.config for run in runs}


def file(spec):
    return load_config(str(CONFIGS / spec), []).to_dict()


def same_protocol(mine, theirs):
    for key in theirs.keys() - set(FREE):
        assert mine[key] == theirs[key], key
    # Seven files' worth of defaults, which an .npz file does not know.
    data = dict(theirs["data"], mean=mine["data"]["mean"], std=mine["data"]["std"])
    assert mine["data"] == data | {"padding": 4, "flip": True}


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_would_train_after_those_that_it_names(name):
    earlier = set()
    for one in plan(STUDIES[name], Settings(seeds=(0, 7)), ROOT):
        run.check(one.config, ROOT)
        named = [one.config["teacher"]["workdir"]]
        for student in one.config["students"].values():
            named.append(student.get("selection", {}).get("reference", ""))
        assert set(filter(None, named)) <= earlier
        earlier.add(str(ROOT / one.name))


def test_a_plan_says_what_each_run_trains():
    runs = plan(STUDIES["repdistiller"], Settings(seeds=(3,)), ROOT)
    assert [describe(run) for run in runs[:3]] == [
        "resnet56: resnet56 by ce; 240 epochs",
        "resnet20-by-labels-seed3: resnet20 by ce; 240 epochs",
        "resnet20-of-resnet56-seed3: resnet20 by kd, dtd_la, lr_mse, lr_ds; 240 epochs",
    ]
    rehearsal = plan(STUDIES["cifar100"], Settings(total_steps=20), ROOT)
    assert describe(rehearsal[0]) == "wrn_28_4: wrn_28_4 by ce; 20 steps"


def test_kl_versus_mse_is_the_configs_of_that_name():
    runs = configs("cifar100", seeds=(0, 1, 2))
    seeds = [f"wrn_16_2-of-wrn_28_4-seed{seed}" for seed in (0, 1, 2)]
    assert list(runs) == ["wrn_28_4", *seeds]
    teacher, theirs = runs["wrn_28_4"], file("teacher.py")
    same_protocol(teacher, theirs)
    assert (teacher["model"], teacher["seed"]) == ({"name": "wrn_28_4"}, 0)
    assert teacher["method"] == {"name": "ce"} and theirs["method"]["name"] == "ce"
    grid = load_grid(str(CONFIGS / "temperatures.py"))
    for seed, name in enumerate(seeds):
        mine = runs[name]
        same_protocol(mine, file("temperatures.py"))
        assert mine["seed"] == seed and mine["model"] == {"name": "wrn_16_2"}
        assert mine["teacher"]["workdir"] == "/runs/wrn_28_4"
        methods = {key: row["method"] for key, row in mine["students"].items()}
        assert methods == grid["method"]
        # Kim et al., public code: padding 4, flips, these moments.
        assert mine["data"]["mean"] == (0.5071, 0.4865, 0.4409)
        assert mine["data"]["std"] == (0.2673, 0.2564, 0.2762)


@pytest.mark.parametrize(
    "teacher, student", [("resnet56", "resnet20"), ("wrn_40_2", "wrn_16_2")]
)
def test_repdistiller_is_the_configs_of_that_name(teacher, student):
    runs = configs("repdistiller", seeds=(3,))
    first, labels = runs[teacher], runs[f"{student}-by-labels-seed3"]
    teacher_outputs = runs[f"{student}-of-{teacher}-seed3"]
    for mine in (first, labels, teacher_outputs):
        same_protocol(mine, file("repdistiller_teacher.py"))
        # Tian et al., public code.
        assert (mine["batch_size"], mine["total_epochs"]) == (64, 240.0)
        assert mine["optimizer"] == {
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 5e-4,
            "decay_norm_and_bias": True,
            "clip_norm": 0.0,
        }
        assert mine["schedule"]["learning_rate"] == 0.05
        assert mine["schedule"]["milestones"] == (150.0, 180.0, 210.0)
        assert mine["data"]["mean"] == (0.5071, 0.4867, 0.4408)
        assert mine["data"]["std"] == (0.2675, 0.2565, 0.2761)
    assert (first["model"]["name"], first["seed"]) == (teacher, 0)
    for mine in (labels, teacher_outputs):
        assert (mine["model"]["name"], mine["seed"]) == (student, 3)
    for name in ("kd", "dtd_la", "lr_mse", "lr_ds"):
        spec = f"{name}.py" if name != "kd" else "repdistiller.py"
        assert teacher_outputs["students"][name]["method"] == file(spec)["method"]
    wanted = file("lr_ds.py")["selection"]
    wanted["reference"] = f"/runs/{student}-by-labels-seed3"
    defaults = inspect.signature(by_influence).parameters
    given = teacher_outputs["students"]["lr_ds"]["selection"]
    assert given == {key: wanted[key] for key in given}
    for key in wanted.keys() - given.keys():
        assert defaults[key].default == wanted[key], key
    assert [
        n for n, row in teacher_outputs["students"].items() if "selection" in row
    ] == ["lr_ds"]


def test_settings_reach_every_run():
    runs = configs("repdistiller", data="a.npz", data_dir="/d", dtype="bfloat16")
    for config in runs.values():
        assert config["data"]["name"] == "a.npz" and config["data"]["data_dir"] == "/d"
        assert config["model"]["dtype"] == "bfloat16"
        assert config["total_steps"] == 0
    for config in configs("cifar100", total_steps=5).values():
        assert config["total_steps"] == 5 and "dtype" not in config["model"]
