"""Selections by a student's own outputs wait until it is trained."""

import types

import numpy as np
import pytest

from kdjax.contracts import InputError
from kdjax.experiment.builders import call_named
from kdjax.experiment.selection import SELECTIONS

TRAIN = types.SimpleNamespace(label=np.arange(6) % 3)
IMAGES = types.SimpleNamespace(train=TRAIN)
SECTIONS = [
    ({"name": "detector", "detector": "clk"}, "first_epoch"),
    ({"name": "dividemix"}, "warmup_epochs"),
]


@pytest.mark.parametrize("section, key", SECTIONS)
def test_an_untrained_student_selects_nothing(section, key):
    message = rf"selection: {key} is 0; expected a number above 0: an untrained"
    with pytest.raises(InputError, match=message):
        call_named("config.selection", SELECTIONS, section | {key: 0.0}, images=IMAGES)
    trained = call_named(
        "config.selection", SELECTIONS, section | {key: 0.5}, images=IMAGES
    )
    assert trained.first_epoch == 0.5
