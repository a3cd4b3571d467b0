"""Words and published numbers of the benchmark of 13 pairs."""

import types

import pytest

from kdjax.contracts import InputError
from kdjax.experiment import schema
from kdjax.experiment.overrides import describe_config, load_config
from kdjax.experiment.stages import split_stages
from kdjax.reproduce import published
from kdjax.runner import summary
from tests.test_repdistiller_config import FILE, PAIRS, RUNS, SMALL, load


def test_numbers_are_published_for_the_pairs():
    assert published.top1("kd", "wrn_40_2", "shufflenet_v1") == 74.83
    assert published.top1("fsp", "wrn_40_2", "wrn_40_1") is None
    assert published.top1("kd", "resnet20", "resnet8") is None
    for row in published.ROWS.values():
        assert len(row.top1) == len(PAIRS) and row.tuned in ("yes", "no", "not said")
        assert all(55 < one < 80 for one in row.top1 if one is not None)
    config = load("crd+kd", "resnet56", "resnet20").published
    assert (config.top1, config.method, config.model) == (71.63, "crd", "resnet20")
    assert load("kd", *SMALL).published.top1 == 0.0


def test_help_has_the_numbers_of_the_pair():
    text = describe_config(f"{FILE}:kd,resnet56,resnet20")
    assert "METHOD[+RULES],TEACHER,STUDENT" in text
    assert "crd        71.16  tuned per pair: no; RepDistiller's README" in text


@pytest.mark.parametrize("method, second", [("ab", "ce"), ("fsp", "ce"), ("ft", "ft")])
def test_two_stages(method, second):
    config = load(method, "resnet56", "resnet20")
    first, then = split_stages(config, RUNS).values()
    assert first["total_epochs"] == 30.0 and then["total_epochs"] == 240.0
    assert first["schedule"]["name"] == "constant"
    rate = 0.01 if method == "ft" else 0.05
    assert first["schedule"]["learning_rate"] == rate
    assert then["initial"]["workdir"] == "/runs/initial"
    assert then["method"]["name"] == second == then["published"]["method"]
    assert first["method"]["name"] != second


@pytest.mark.parametrize(
    "words, message",
    [
        ("kd,resnet56", r"'kd,resnet56' is not METHOD\[\+RULES\],TEACHER,STUDENT"),
        ("crdd,resnet56,resnet20", "'crdd' is no method .* Did you mean crd?"),
        ("kd,resnet57,resnet20", "'resnet57' is no network .* Did you mean resnet"),
        ("kd,ResNet50,MobileNetV3", "Did you mean"),
        ("kd+kaps,resnet56,resnet20", "'kaps' is no rules .* Did you mean ka_ps?"),
    ],
)
def test_words_that_are_not_known(words, message):
    with pytest.raises(InputError, match=message):
        load_config(f"{FILE}:{words}", [])


def test_a_published_number_names_its_method_network_and_teacher():
    record = load("kd", "resnet56", "resnet20").published.to_dict()
    assert len(record.pop("recipe")) == 64
    assert record == {
        "top1": 70.66,
        "source": "RepDistiller's README",
        "method": "kd",
        "model": "resnet20",
        "teacher": "resnet56",
    }


def test_a_summary_has_the_number_of_its_recipe():
    config = schema.resolved(load("kd", "resnet56", "resnet20"))
    kd = {key: config[key] for key in ("model", "method", "selection")}
    attached = kd | {"method": kd["method"] | {"supervisor": {"name": "ka_ps"}}}
    students = {"kd": kd, "crd": kd | {"method": {"name": "crd"}}, "kd_ps": attached}
    identity = {"students": students, "teacher": {"model": {"name": "resnet56"}}}
    run = types.SimpleNamespace(identity=identity, config=config)
    rows = summary.summary(run, dict.fromkeys(students, {}), 1.0, {}, None, {})[
        "students"
    ]
    assert rows["kd"]["published"] == {"top1": 70.66, "source": published.README}
    assert "published" not in rows["crd"] | rows["kd_ps"]
