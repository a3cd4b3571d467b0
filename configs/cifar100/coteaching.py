r"""CIFAR-100 under symmetric noise: Co-teaching of two networks.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/coteaching.py \
    --workdir=runs/coteaching --config.data.noise.rate=0.4 \
    --config.method.noise_rate=0.4

Settings of "Winning Ticket in Noisy Image Classification", public code, but: ResNet-18
for its pre-activation form, and Adam's first moment stays at 0.9 throughout, where the
code goes down to 0.1 at epoch 80. Not measured here yet.
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
    config.schedule = ConfigDict(
        {"name": "linear", "learning_rate": 1e-3, "start_epoch": 80.0}
    )
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
