r"""CIFAR-100 under symmetric noise: early-learning regularisation.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/elr.py --workdir=runs/elr \
    --config.data.noise.rate=0.4

Settings of "Winning Ticket in Noisy Image Classification", public code. Not measured
here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: another network."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": arg or "resnet34_cifar"})
    config.method = ConfigDict({"name": "elr", "beta": 0.9, "weight": 7.0})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
