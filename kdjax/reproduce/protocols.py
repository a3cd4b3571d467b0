"""The protocols of CIFAR-100 as plain dicts, which need JAX and kdjax alone.

configs/cifar100/common.py has them as ConfigDicts, `kdjax reproduce` as they are.
"""

from kdjax.experiment import schema


def kl_versus_mse() -> dict:
    """Kim et al. 2021 (arXiv:2105.08919), public code: 200 epochs, step schedule."""
    config = schema.nested()
    config["data"]["name"] = "cifar100"
    config["batch_size"] = 128
    config["total_epochs"] = 200.0
    config["schedule"] = {
        "name": "step",
        "learning_rate": 0.1,
        "milestones": (100.0, 150.0),
        "factor": 0.1,
        "warmup_epochs": 0.0,
    }
    return config


def repdistiller() -> dict:
    """Tian et al. 2020 (arXiv:1910.10699), public code: 240 epochs, batches of 64."""
    config = kl_versus_mse()
    config["data"]["mean"] = (0.5071, 0.4867, 0.4408)
    config["data"]["std"] = (0.2675, 0.2565, 0.2761)
    config["batch_size"] = 64
    config["total_epochs"] = 240.0
    config["optimizer"]["nesterov"] = False
    config["optimizer"]["decay_norm_and_bias"] = True
    config["schedule"]["learning_rate"] = 0.05
    config["schedule"]["milestones"] = (150.0, 180.0, 210.0)
    return config
