r"""CIFAR-100 under symmetric noise: Co-teaching of two networks.

python -m kdjax train --config=configs/cifar100/coteaching.py \
    --workdir=runs/coteaching --config.data.noise.rate=0.4 \
    --config.method.noise_rate=0.4

Settings of "Winning Ticket in Noisy Image Classification", public code, but: ResNet-18
for its pre-activation form; Adam's decay to 0 from epoch 80 as halvings, and its first
moment stays at 0.9, where the code goes down to 0.1. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: another network."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": arg or "resnet18_cifar"})
    config.method = ConfigDict(
        {"name": "coteaching", "noise_rate": 0.4, "gradual_epochs": 40}
    )
    config.total_epochs = 200.0
    config.optimizer = ConfigDict({"name": "adamw", "weight_decay": 0.0})
    config.schedule.learning_rate = 1e-3
    # Where a line from 1 at epoch 80 to 0 at 200 passes between two powers of a half.
    config.schedule.milestones = (115.1, 157.6, 178.8, 189.4, 194.7)
    config.schedule.factor = 0.5
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
