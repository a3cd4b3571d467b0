r"""CIFAR-100 under label noise: proxy, selection, retraining in one command.

python -m kdjax train --config=configs/cifar100/tickets.py:fine \
    --workdir=runs/tickets_fine --config.data.noise.rate=0.4
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: clk, same or fine."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": "resnet34_cifar"})
    config.method = ConfigDict({"name": "tickets", "loss": "ce"})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return recipes.tickets(config, arg or "fine")
