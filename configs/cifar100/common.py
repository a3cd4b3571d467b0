"""CIFAR-100 protocols: of "KL versus MSE", of RepDistiller and of "Winning Ticket".

`prepare` takes the archive from disk or from its official address, once; give it and
all other commands the same --data_dir, or none. A finished run is left alone, so the
commands of several configs that train the same teacher first may be typed one after the
other.
"""

from ml_collections import ConfigDict

from kdjax.reproduce import studies


def base():
    """Kim et al. 2021 (arXiv:2105.08919), "KL versus MSE"."""
    return ConfigDict(studies.kl_versus_mse_protocol())


def repdistiller():
    """Tian et al. 2020 (arXiv:1910.10699), RepDistiller."""
    return ConfigDict(studies.repdistiller_protocol())


def winning_tickets():
    """Kim et al. 2021, "Winning Ticket", public code: ResNet-34, 150 epochs, CE."""
    config = base()
    config.data.mean = (0.5071, 0.4867, 0.4408)
    config.data.std = (0.2675, 0.2565, 0.2761)
    config.total_epochs = 150.0
    config.optimizer.nesterov = False
    config.optimizer.weight_decay = 1e-3
    config.optimizer.decay_norm_and_bias = True
    config.schedule.learning_rate = 0.02
    config.schedule.milestones = (80.0, 120.0)
    config.schedule.factor = 0.01
    return config
