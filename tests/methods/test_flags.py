"""What is True or False is nothing else, in every method and optimizer."""

import inspect

import numpy as np
import pytest

from kdjax.methods import METHODS
from kdjax.training.optimizers import OPTIMIZERS

REQUIRED = {
    **{"schedule": lambda step: 0.1, "alpha": 0.5, "temperature": 4.0},
    **{"num_classes": 5, "steps_per_epoch": 3},
    **{"teacher_channels": 8, "warmup_epochs": 1},
}
BUILDS = {name: module.build for name, module in METHODS.items()} | OPTIMIZERS
FLAGS = [
    (name, parameter.name)
    for name, build in BUILDS.items()
    for parameter in inspect.signature(build).parameters.values()
    if parameter.annotation is bool
]


@pytest.mark.parametrize("name, flag", FLAGS)
def test_a_flag_is_true_or_false(name, flag):
    build = BUILDS[name]
    parameters = inspect.signature(build).parameters.values()
    given = {p.name: REQUIRED[p.name] for p in parameters if p.default is p.empty}
    for value in ("no", np.ones(3), 1, None):
        with pytest.raises(ValueError, match=rf"{flag} is .*; expected True or False"):
            build(**given, **{flag: value})
    build(**given, **{flag: np.bool_(True)})
