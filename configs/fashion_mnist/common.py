"""The embedded Fashion-MNIST subset: 10,000 + 2,000 images, minutes on two cores."""

from configs import common


def base(epochs: float):
    config = common.base()
    config.data.name = "fashion_mnist_subset"
    config.data.padding = 2
    config.batch_size = 128
    config.total_epochs = epochs
    config.schedule.learning_rate = 0.1
    config.schedule.warmup_epochs = 0.5
    config.log_every_steps = 10
    return config
