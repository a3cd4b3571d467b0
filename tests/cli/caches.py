"""A teacher, a config of two students, and caches of the teacher, in seconds."""

import json
import pathlib
import types

import jax
import numpy as np
from ml_collections import ConfigDict

from kdjax.cli import cache
from kdjax.experiment.build import build
from kdjax.experiment.overrides import load_config
from kdjax.runner import run
from kdjax.runner.trainer import Steps
from kdjax.training import sharding
from kdjax.training.state import initial_state

CONFIG = """
from ml_collections import ConfigDict
from tests.experiment import configs

def get_config(arg=""):
    config = configs.students({data!r}, {teacher!r})
    config.model = ConfigDict({{"name": "tests.networks:linear"}})
    config.allow_code = ("tests.networks:coarse",)  # the teacher, and imported ones
    config.students = ConfigDict({{
        "kd": {{"method": {{"name": "kd", "alpha": 0.9, "temperature": 4.0}}}},
        "mse": {{"method": {{"name": "mse"}}}},
    }})
    config.total_steps = 6
    config.schedule.learning_rate = 0.002
    return config
"""


class Caches:
    """A teacher, a config of two students, and where caches of that teacher lie."""

    def __init__(self, root: pathlib.Path, data_dir):
        self.root, self.data_dir = root, data_dir
        self.file = root / "students.py"
        self.file.write_text(
            CONFIG.format(data=str(data_dir), teacher=str(root / "teacher"))
        )
        config = self.config("seed=0", "total_steps=4", method={"name": "ce"})
        config.teacher.workdir = ""
        config.model = ConfigDict({"name": "tests.networks:coarse"})
        config.evaluation.every_epochs = 0.5  # step 2 is another teacher
        run.run(config, root / "teacher")

    def config(self, *overrides, method=None) -> ConfigDict:
        """Of both students, or of one with this method."""
        config = load_config(str(self.file), list(overrides))
        if method:
            config.students, config.method = ConfigDict(), ConfigDict(method)
        return config

    def cache(self, workdir, *flags) -> int:
        return cache.main(
            [f"--config={self.file}", f"--workdir={workdir}", *map(str, flags)]
        )


def printed(capsys) -> dict:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.glob("*/*"))
    }


def step_of(config, monkeypatch, compiled=None):
    """(a step of a number, as the loop makes it; shapes of its states).

    `compiled(step)` takes the place of the compiled step.
    """
    experiment, mesh = build(config), sharding.make_mesh()
    variables = sharding.place_replicated(experiment.teacher.variables, mesh)
    sample_info = types.SimpleNamespace(
        before=lambda number, states: {}, same_for=lambda number, most: most
    )
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)
    states = jax.eval_shape(
        lambda: {n: initial_state(s, images) for n, s in experiment.students.items()}
    )
    steps = Steps(experiment, variables, mesh, sample_info)
    if compiled:
        other = compiled(steps.programs[1].__wrapped__)
        monkeypatch.setitem(steps.programs, 1, lambda *given: (other(*given), {}))

    def step(states, number):
        count, rows = steps.ready(number, 1)
        result = steps.run(states, number, count, rows)
        return result[0] if compiled else result

    return step, states
