"""ImageNet protocols: 100 epochs by steps, and a patient teacher's by half a cosine.

The archives are ILSVRC2012's own, whose terms forbid passing them on: `prepare` takes
ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from the directory that it is given,
once. Give it and all other commands the same --data_dir, or none.

Teachers as torchvision publishes them (.pth, read where PyTorch is installed) or as
timm does (.safetensors) become runs by `import`, with no training; teacher.py trains
one. The learning rate follows the batch, 0.1 for 256 images (Goyal et al. 2017,
arXiv:1706.02677, which warms up over 5 epochs above 256:
--config.schedule.warmup_epochs=5). --config.model.dtype=bfloat16 halves what a
student's activations take, for accelerators.
"""

from ml_collections import ConfigDict

from kdjax.experiment import schema


def base() -> ConfigDict:
    """torchvision's ResNets, and what papers on distillation take: 100 epochs, SGD."""
    config = schema.base()
    config.data.name, config.data.test = "imagenet2012", "validation"
    config.data.feed = "streamed"
    config.batch_size = 256
    config.total_epochs = 100.0
    config.optimizer.nesterov = False
    config.optimizer.weight_decay = 1e-4
    config.optimizer.decay_norm_and_bias = True
    config.schedule = ConfigDict(
        {
            "name": "step",
            "learning_rate": _by_batch(config),
            "milestones": (30.0, 60.0, 90.0),
            "factor": 0.1,
            "warmup_epochs": 0.0,
        }
    )
    return config


def patient(epochs: float) -> ConfigDict:
    """Beyer et al. 2022 (arXiv:2106.05237), with SGD: mixtures, half a cosine."""
    config = base()
    config.batch_size = 4096
    config.total_epochs = epochs
    config.data.mixup = 1.0
    config.optimizer.clip_norm = 1.0
    config.schedule = ConfigDict(
        {
            "name": "cosine",
            "learning_rate": _by_batch(config),
            "warmup_epochs": 5.0,
        }
    )
    return config


def _by_batch(config: ConfigDict):
    """0.1 for 256 images, also where --config.batch_size is set afterwards."""
    return config.get_ref("batch_size").to_float() * (0.1 / 256)
