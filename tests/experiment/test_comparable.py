"""A published number is shown beside runs of its own recipe and no others."""

import pytest

from kdjax.experiment import schema
from kdjax.experiment.comparable import published_of
from kdjax.experiment.stages import split_stages
from kdjax.experiment.students import student_sections
from tests.test_repdistiller_config import RUNS, load

TEACHER = {"model": {"name": "resnet56"}}
WORDS = ("reviewkd", "resnet56", "resnet20")


def number(*overrides, words=WORDS, teacher=TEACHER):
    config = schema.resolved(load(*words, overrides=overrides))
    (student,) = student_sections(config).values()
    found = published_of(config, student, teacher)
    return found and found["top1"]


@pytest.mark.parametrize(
    "override",
    ["seed=7", "teacher.workdir=x", "data.data_dir=x", "evaluation.every_epochs=5"],
)
def test_what_is_no_part_of_a_recipe_may_change(override):
    assert number(override) == number() == 71.89


@pytest.mark.parametrize(
    "override",
    [
        "method.supervisor.name=ka_ps",
        "method.weight=5.0",
        "method.connector_rate=2.0",
        "model.width=2",
        "selection.name=random",
        "data.keep=x",
        "data.mixup=1.0",
        "schedule.learning_rate=0.1",
        "optimizer.weight_decay=0.0",
        "total_epochs=100",
        "total_steps=5",
        "batch_size=128",
        "accumulation_steps=2",
        "ema_decay=0.999",
    ],
)
def test_other_recipes_have_no_number(override):
    assert number(override) is None


def test_the_number_is_of_one_teacher():
    for teacher in (None, {"model": {"name": "resnet110"}}, {"model": [TEACHER]}):
        assert number(teacher=teacher) is None
    assert number(words=("crd+kd", *WORDS[1:])) == 71.63


def test_similarities_of_the_classifier_have_no_number():
    words = ("wkd_l", "resnet32x4", "resnet8x4")
    assert load(*words).published.to_dict() == schema.nested()["published"]
    assert load("wkd_f", *words[1:]).published.top1 == 76.77


@pytest.mark.parametrize("method, expected", [("ab", 69.47), ("ft", 69.84)])
def test_the_last_of_two_stages_has_the_number(method, expected):
    config = load(method, *WORDS[1:])
    numbers = []
    for stage in split_stages(config, RUNS).values():
        record = schema.resolved(stage)
        (student,) = student_sections(record).values()
        found = published_of(record, student, TEACHER)
        numbers.append(found and found["top1"])
    assert numbers == [None, expected]


def test_a_number_without_a_recipe_goes_by_names():
    config = schema.resolved(load(*WORDS))
    config["published"] |= {"recipe": "", "teacher": ""}
    (student,) = student_sections(config).values()
    config["total_epochs"] = 1.0
    assert published_of(config, student, None)["top1"] == 71.89
    student["model"] = {"name": "resnet32"}
    assert published_of(config, student, None) is None
