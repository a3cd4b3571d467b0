"""The embedded Fashion-MNIST subset: 10,000 + 2,000 images, minutes on two cores."""

from ml_collections import ConfigDict

from configs import common


def base():
    config = common.base()
    config.data.name = "fashion_mnist_subset"
    config.data.padding = 2
    config.batch_size = 64
    config.total_epochs = 6.0
    config.schedule.learning_rate = 0.1
    config.schedule.warmup_epochs = 0.5
    config.log_every_steps = 10
    return config


def small_network() -> ConfigDict:
    """The students: WRN-10 with 8/16/32 channels."""
    return ConfigDict(
        {"name": "wide_resnet", "depth": 10, "widths": (8, 16, 32), "stem": 8}
    )
