"""Every key that a config has, with its default; configs change a few.

from kdjax.experiment.defaults import base    # a ConfigDict, for config files
from kdjax.experiment.defaults import nested  # the same as dicts, without ml_collections
"""

import copy

DATA = {
    "name": "",  # of a TFDS set, or of an .npz file; see kdjax.data.npz
    "data_dir": "",  # default: $TFDS_DATA_DIR, else ~/tensorflow_datasets
    "train": "train",
    "test": "test",
    "padding": None,  # default: what is usual for the data set
    "flip": None,
    "mean": (),
    "std": (),
    # "resident": on the devices; "streamed": decoded from a TFDS set while it trains,
    # with random resized crops; "auto": streamed from 4 GiB on disk upwards.
    "feed": "auto",
    # Of a streamed set: sides in pixels, and the least share of a picture's area.
    # sizes: (from epoch, side) of training crops that begin smaller, such as
    # ((0, 128), (30, 160), (60, 224)); each side compiles once, evaluation is at size.
    "crops": {"size": 224, "short_side": 256, "smallest_area": 0.08, "sizes": ()},
    # That decode in each process; 0: one for each core that it may use. Processes that
    # share a host divide its cores by the scheduler (srun --cpus-per-task) or by this.
    "threads": 0,
    "skip_at_most": 100,  # unreadable pictures of a host, before a run stops
    # Alpha of mixup: 0.0 is none, 1.0 mixes two images in any ratio. For methods that
    # read no label; teacher and students see the same mixtures.
    "mixup": 0.0,
    # What is done to the training labels; see kdjax.data.noise.
    "noise": {"name": "none"},
    # A selection.npz: only the samples that it keeps are trained on.
    "keep": "",
}
TEACHER = {
    "workdir": "",  # of its run; several, separated by commas, are an ensemble
    "student": "",
    "checkpoint": "latest",
    "network": "",  # instead of a run: package.module:function
    # A --workdir of `python -m kdjax cache`: its answers to the training images.
    "cache": "",
    # (height, width) of the images that it was trained on, where they are not those of
    # its students: theirs are resized for it (bilinear, bicubic or lanczos3).
    "input_size": (),
    "resize": "bilinear",
    # A file with the names of its classes, one a line, where it has them in another
    # order than the data set, or more of them. `import --classes` says it once for all.
    "classes": "",
}
OPTIMIZER = {
    "name": "sgd",
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "decay_norm_and_bias": False,
    "clip_norm": 0.0,
}
# A run without a network and a method: each config names its own.
DEFAULTS = {
    "seed": 0,  # of initial weights, data order and crops
    "model": {"name": ""},
    "method": {"name": ""},
    # On which samples the teacher is heard; for a method without one, trained on.
    "selection": {"name": "all"},
    # Several students in one program: name -> any of model, method, selection, seed.
    "students": {},
    # True: those of equal networks go through one copy of it in the program, in turn.
    # It compiles less and on a CPU runs four times slower; for grids on accelerators,
    # where `python -m kdjax bench --students=8 --stacked=no,yes` tells what it costs.
    "stacked": False,
    # Whose moments a batch norm takes while it trains: "global", those of the whole
    # batch, the same on any number of devices; "device": of each device's own part,
    # as data-parallel GPU training usually does, and most published results did.
    "batch_norm": "global",
    "teacher": TEACHER,
    # The run whose weights training begins with; default: drawn from the seed.
    "initial": {"workdir": "", "student": "", "checkpoint": "latest"},
    "data": DATA,
    "batch_size": 128,  # over all devices
    "total_epochs": 200.0,
    "total_steps": 0,  # above 0: instead of total_epochs
    "optimizer": OPTIMIZER,
    "schedule": {"name": "cosine", "learning_rate": 0.1, "warmup_epochs": 0.0},
    # Saving follows evaluation. every_epochs = 0: both only at the end. The latest two
    # checkpoints and the best one stay; keep_all keeps them all, as select's estimator
    # gradient_dot wants.
    "evaluation": {
        "every_epochs": 1.0,
        "batch_size": 500,
        "on_train": False,
        "keep_all": False,
    },
    # In percent, above 0: an under-fitted network. Looked at with each evaluation.
    "stop_at_train_top1": 0.0,
    "log_every_steps": 50,
    "tensorboard": True,
    # A run of several parts: name -> what differs from the rest of this config; the
    # order they run in. "stage:NAME" stands for the workdir of a part.
    "stages": {},
    "order": (),
    # For `python -m kdjax select` and for a stage that selects instead of training.
    "select": {},
}


def nested() -> dict:
    """The defaults as dicts of one's own; `build` takes them as they are."""
    return copy.deepcopy(DEFAULTS)


def base():
    """The defaults as a ConfigDict."""
    from ml_collections import ConfigDict  # here, so that `nested` does without

    return ConfigDict(nested())
