"""A run that takes seconds: 256 embedded images, a small network of the tests' own."""

from ml_collections import ConfigDict

from kdjax.experiment import schema

METHODS = {
    "ce": {"name": "ce"},
    "kd": {"name": "kd", "alpha": 0.9, "temperature": 4.0},
    "mse": {"name": "mse"},
}


def teacher(data_dir) -> ConfigDict:
    config = schema.base()
    config.model = ConfigDict({"name": "tests.networks:tiny", "width": 4})
    config.method = ConfigDict({"name": "ce"})
    config.data.name = "fashion_mnist_subset"
    config.data.data_dir = str(data_dir)
    config.data.train, config.data.test = "train[:256]", "test[:100]"
    config.batch_size = 64
    config.total_epochs = 2.0
    config.evaluation.batch_size = 64
    config.log_every_steps = 2
    config.tensorboard = False
    return config


def students(data_dir, teacher_workdir) -> ConfigDict:
    config = teacher(data_dir)
    config.teacher.workdir = str(teacher_workdir)
    config.seed = 1  # with the teacher's own seed, `ce` would be the teacher again
    config.students = ConfigDict({n: {"method": m} for n, m in METHODS.items()})
    return config
