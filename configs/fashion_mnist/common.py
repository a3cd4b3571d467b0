"""The embedded Fashion-MNIST subset: 10,000 + 2,000 images, minutes on two cores.

The images come with the package and are read from it. A finished run is left alone, so
the commands of several configs that train the same teacher first may be typed one after
the other.
"""

from ml_collections import ConfigDict

from kdjax.experiment import schema

# Of label revision by squared errors: lambda1 is 4 K / 100 for K classes.
REVISION = {"lambda1": 0.4, "lambda2": 1.0, "eta": 0.8}


def base():
    config = schema.base()
    config.data.name = "fashion_mnist_subset"
    config.batch_size = 64
    config.total_epochs = 6.0
    config.schedule.learning_rate = 0.1
    config.schedule.warmup_epochs = 0.5
    config.log_every_steps = 10
    return config


def network(*widths: int, stem: int) -> ConfigDict:
    return ConfigDict(
        {"name": "wide_resnet", "depth": 10, "widths": widths, "stem": stem}
    )


def small_network() -> ConfigDict:
    """The students: WRN-10 with 4/8/16 channels."""
    return network(4, 8, 16, stem=8)


def medium_network() -> ConfigDict:
    """Between teacher and student: WRN-10 with 8/16/32 channels."""
    return network(8, 16, 32, stem=8)


def large_network() -> ConfigDict:
    """The teachers: WRN-10 with 24/48/96 channels."""
    return network(24, 48, 96, stem=16)
