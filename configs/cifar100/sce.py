r"""CIFAR-100 under symmetric noise: symmetric cross entropy.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/sce.py --workdir=runs/sce \
    --config.data.noise.rate=0.4

Settings of "Winning Ticket in Noisy Image Classification", public code, for ResNet-34;
for other networks it has alpha 6, beta 0.1 and a factor of 0.1. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: another network."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": arg or "resnet34_cifar"})
    config.method = ConfigDict({"name": "sce", "alpha": 1.0, "beta": 0.4})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
