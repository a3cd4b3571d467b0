"""The control of data selection: each student's seed draws its own samples."""

import numpy as np
from ml_collections import ConfigDict

from kdjax.experiment.build import build
from kdjax.runner import select
from tests.experiment import configs

HALF = {"name": "random", "keep_ratio": 0.5}


def draw(seed, samples):
    """What NumPy's generator of a seed keeps of so many: the half with most."""
    numbers = np.random.default_rng(seed).random(samples)
    return numbers > np.median(numbers)


def test_students_of_other_seeds_are_taught_on_other_samples(data_dir):
    config = configs.teacher(data_dir)
    config.model = ConfigDict({"name": "tests.networks:linear"})
    config.teacher.network = "tests.networks:linear"
    config.total_steps, config.total_epochs = 2, 0.0
    config.method = ConfigDict({"name": "ds", "temperature": 4.0})
    config.selection = ConfigDict(HALF)
    students = {"first": {"seed": 1}, "second": {"seed": 2}, "fixed": {"seed": 2}}
    students["fixed"]["selection"] = HALF | {"seed": 7}
    config.students = ConfigDict(students)
    experiment = build(config)
    samples = len(experiment.train.label)
    for name, seed in {"first": 1, "second": 2, "fixed": 7}.items():
        kept = experiment.students[name].selection_schedule.start["selection"]
        np.testing.assert_array_equal(kept > 0, draw(seed, samples), name)


def test_a_selection_run_draws_by_its_own_seed(data_dir):
    images = build(configs.teacher(data_dir)).data
    for given, seed in ({}, 3), ({"seed": 7}, 7):
        chosen, _ = select.at_random(
            images=images, config={"seed": 3}, keep_ratio=0.5, **given
        )
        expected = draw(seed, len(images.train.label))
        np.testing.assert_array_equal(chosen.keep, expected)
