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
    # On which samples the teacher is heard; for a method without one, trained on.
    config.selection = ConfigDict({"name": "all"})
    # Several students in one program: name -> any of model, method, selection, seed.
    config.students = ConfigDict()
    config.teacher = teacher()
    # The run whose weights training begins with; default: drawn from the seed.
    config.initial = ConfigDict({"workdir": "", "student": "", "checkpoint": "latest"})
    config.data = data()
    config.batch_size = 128  # over all devices
    config.total_epochs = 200.0
    config.total_steps = 0  # above 0: instead of total_epochs
    config.optimizer = optimizer()
    config.schedule = ConfigDict(
        {"name": "cosine", "learning_rate": 0.1, "warmup_epochs": 0.0}
    )
    # Saving follows evaluation. every_epochs = 0: both only at the end. The latest two
    # checkpoints and the best one stay; keep_all keeps them all, as select's estimator
    # gradient_dot wants.
    config.evaluation = ConfigDict(
        {"every_epochs": 1.0, "batch_size": 500, "on_train": False, "keep_all": False}
    )
    # In percent, above 0: an under-fitted network. Looked at with each evaluation.
    config.stop_at_train_top1 = 0.0
    config.log_every_steps = 50
    config.tensorboard = True
    # A run of several parts: name -> what differs from the rest of this config; the
    # order they run in. "stage:NAME" stands for the workdir of a part.
    config.stages = ConfigDict()
    config.order = ()
    # For `python -m kdjax select` and for a stage that selects instead of training.
    config.select = ConfigDict()
    return config


def teacher() -> ConfigDict:
    return ConfigDict(
        {
            # The run that trained it; several, separated by commas, are an ensemble.
            "workdir": "",
            "student": "",
            "checkpoint": "latest",
            "network": "",  # instead of a run: package.module:function
            # A --workdir of `python -m kdjax cache`, where its answers to the training
            # images lie.
            "cache": "",
        }
    )


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
            # What is done to the training labels; see kdjax.data.noise.
            "noise": ConfigDict({"name": "none"}),
            # A selection.npz: only the samples that it keeps are trained on.
            "keep": "",
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
