"""Every key that a config has, with its default; configs change a few.

from kdjax.build.defaults import base
"""

from ml_collections import ConfigDict


def base() -> ConfigDict:
    """A run without a network and a method: each config names its own."""
    config = ConfigDict()
    config.seed = 0  # of initial weights, data order and crops
    config.model = ConfigDict({"name": ""})
    config.method = ConfigDict({"name": ""})
    # Several students in one program: name -> any of model, method, seed.
    config.students = ConfigDict()
    # The run that trained the teacher, or package.module:function of a network.
    config.teacher = ConfigDict(
        {"workdir": "", "student": "", "checkpoint": "latest", "network": ""}
    )
    config.data = data()
    config.batch_size = 128  # over all devices
    config.total_epochs = 200.0
    config.total_steps = 0  # above 0: instead of total_epochs
    config.optimizer = optimizer()
    config.schedule = ConfigDict(
        {"name": "cosine", "learning_rate": 0.1, "warmup_epochs": 0.0}
    )
    # Saving follows evaluation. every_epochs = 0: both only at the end.
    config.evaluation = ConfigDict({"every_epochs": 1.0, "batch_size": 500})
    config.log_every_steps = 50
    config.tensorboard = True
    return config


def data() -> ConfigDict:
    return ConfigDict(
        {
            "name": "",
            "data_dir": "",  # default: $TFDS_DATA_DIR, else ~/tensorflow_datasets
            "train": "train",
            "test": "test",
            "padding": None,  # default: what is usual for the data set
            "flip": None,
            "mean": (),
            "std": (),
        }
    )


def optimizer() -> ConfigDict:
    return ConfigDict(
        {
            "name": "sgd",
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 5e-4,
            "decay_norm_and_bias": False,
            "clip_norm": 0.0,
        }
    )
