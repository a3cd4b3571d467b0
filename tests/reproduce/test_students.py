"""The studies' students are different ones, once the defaults are filled in."""

import collections
import inspect
import json
import pathlib

import pytest

from kdjax.methods import METHODS
from kdjax.reproduce import small, teachers
from kdjax.reproduce.plans import STUDIES, Settings, plan

SETTINGS, ROOT = Settings(seeds=(0,)), pathlib.Path("/runs")
PLANS = {
    small.NAME: small.plan(SETTINGS, ROOT),
    teachers.NAME: teachers.plan(SETTINGS, ROOT),
    **{name: plan(study, SETTINGS, ROOT) for name, study in STUDIES.items()},
}


def with_defaults(method):
    parameters = inspect.signature(METHODS[method["name"]].build).parameters
    return {name: one.default for name, one in parameters.items()} | method


@pytest.mark.parametrize("study", PLANS)
def test_no_student_is_another_one_by_a_second_name(study):
    same = collections.defaultdict(list)
    for one in PLANS[study]:
        rest = {key: one.config[key] for key in ("data", "teacher", "model")}
        for name, student in one.config["students"].items():
            own = [rest, with_defaults(student["method"]), student.get("selection")]
            same[json.dumps(own, sort_keys=True, default=str)].append(name)
    assert same and [names for names in same.values() if len(names) > 1] == []
