"""Config files and overrides: what they may say, and what is said when they may not."""

import pytest
from ml_collections import ConfigDict

from kdjax.contracts import InputError
from kdjax.experiment.build import build
from kdjax.experiment.overrides import load_config, set_override
from tests.experiment import configs


@pytest.mark.errors
@pytest.mark.parametrize(
    ("text", "message"),
    (
        ("def get_config(arg=''): return None", "returned NoneType; expected a Config"),
        ("x = 1", "has no attribute 'get_config'. Expected a function get_config"),
        ("def get_config(arg=''):\n  return {}['a']", r"failed at .*:2: KeyError: 'a'"),
    ),
)
def test_a_config_file_that_is_none(tmp_path, text, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(str(tmp_path / "mine.py"), [])


def test_a_file_without_words_takes_none(tmp_path):
    text = "from kdjax.experiment import schema\nget_config = lambda: schema.base()"
    (tmp_path / "mine.py").write_text(text)
    assert load_config(str(tmp_path / "mine.py"), []).seed == 0
    with pytest.raises(InputError, match="ARG is 'x'; expected none: the file takes"):
        load_config(f"{tmp_path / 'mine.py'}:x", [])


@pytest.mark.errors
@pytest.mark.parametrize(
    ("override", "message"),
    (
        (
            "batch_sise=3",
            r"config\.batch_sise does not exist; .*Did you mean batch_size",
        ),
        ("evaluation.every=3", r"config\.evaluation\.every does not exist"),
        ("batch_size=3.5", r"config\.batch_size is '3\.5'; expected int"),
        ("tensorboard=maybe", r"config\.tensorboard is 'maybe'; expected bool"),
        ("seed.x=1", r"config\.seed is a value, not a section"),
    ),
)
def test_bad_overrides_are_named(data_dir, override, message):
    config = configs.teacher(data_dir)
    with pytest.raises(InputError, match=message):
        set_override(config, *override.split("=", 1))


def test_a_new_name_drops_what_its_builder_does_not_take(data_dir):
    config = configs.teacher(data_dir)
    set_override(config, "optimizer.name", "adamw")
    set_override(config, "optimizer.b1", "0.8")
    set_override(config, "schedule.name", "constant")
    assert "momentum" not in config.optimizer and "weight_decay" in config.optimizer
    set_override(config, "optimizer.name", "optax:lion")
    set_override(config, "optimizer.weight_decay", "0.1")
    assert config.optimizer.to_dict() == {"name": "optax:lion", "weight_decay": 0.1}
    config.model = ConfigDict({"name": "wide_resnet", "depth": 10, "widths": (4, 4, 4)})
    set_override(config, "model.name", "tests.networks:tiny")
    set_override(config, "model.width", "3")
    assert config.model.to_dict() == {"name": "tests.networks:tiny", "width": 3}
    set_override(config, "method", "{'name': 'kd', 'alpha': 1.0, 'temperature': inf}")
    set_override(config, "method.name", "mse")
    assert config.method.to_dict() == {"name": "mse", "alpha": 1.0}
    config.teacher.network = "tests.networks:tiny"
    assert list(build(config).students) == ["mse"]


def test_students_can_be_added_and_changed_on_the_command_line(data_dir):
    config = configs.students(data_dir, "")
    config.teacher.network = "tests.networks:tiny"
    set_override(config, "students.kd.seed", "7")
    set_override(config, "students.kd.method.temperature", "inf")
    set_override(
        config, "students.linear", "{'model': {'name': 'tests.networks:linear'}}"
    )
    experiment = build(config)
    assert set(experiment.students) == {"ce", "kd", "mse", "linear"}
    assert experiment.students["kd"].seed == 7
    assert experiment.students["kd"].method.terms[1].name == "logit_matching"


def test_overrides_take_the_type_that_is_there(data_dir):
    config = configs.teacher(data_dir)
    for key, text in {
        "total_epochs": "3",
        "batch_size": "32",
        "data.flip": "false",
        "data.train": "train[:10]",
        "data.mean": "0.5,0.25",
        "method.label_smoothing": "0.1",
        "model.width": "6",
    }.items():
        set_override(config, key, text)
    assert config.total_epochs == 3.0 and isinstance(config.total_epochs, float)
    assert config.batch_size == 32
    assert config.data.flip is False
    assert config.data.train == "train[:10]"
    assert config.data.mean == (0.5, 0.25)
    assert config.method.label_smoothing == 0.1
    assert config.model.width == 6


@pytest.mark.parametrize(
    ("text", "names"),
    (("wandb,mlflow", ("wandb", "mlflow")), ("wandb", ("wandb",)), ("", ())),
)
def test_several_names_are_separated_by_commas(data_dir, text, names):
    config = configs.teacher(data_dir)
    set_override(config, "trackers", text)
    assert config.trackers == names


def test_attached_rules_stay_whatever_comes_first():
    words = ["method.supervisor.name=standardise", "method.name=dkd"]
    for order in (words, words[::-1]):
        config = load_config("configs/fashion_mnist/kd.py", order)
        assert config.method.name == "dkd"
        assert config.method.supervisor.to_dict() == {"name": "standardise"}
