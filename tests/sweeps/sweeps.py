"""A sweep that takes seconds: three methods, two seeds, linear students."""

from kdjax.cli import sweep
from tests.experiment import configs

CONFIG = """
from ml_collections import ConfigDict
from tests.experiment import configs

def get_config(arg=""):
    config = configs.teacher({data_dir!r})
    config.model = ConfigDict({{"name": "tests.networks:linear"}})
    config.teacher.network = "tests.networks:linear"
    config.schedule.learning_rate = 0.001  # a larger one is chaos: mse explodes
    config.total_steps = int(arg or 6)
    return config

def get_grid(arg=""):
    return {{"seed": (1, 2), "method": configs.METHODS}}
"""
TRIALS = [f"seed-{seed}__method-{name}" for seed in (1, 2) for name in configs.METHODS]


def write(directory, data_dir):
    """Writes the config file and returns its path."""
    path = directory / "students.py"
    path.write_text(CONFIG.format(data_dir=str(data_dir)))
    return path


def start(file, workdir, *words):
    return sweep.main([f"--config={file}", f"--workdir={workdir}", *words])
