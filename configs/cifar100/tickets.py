r"""CIFAR-100 under label noise: proxy, selection, retraining in one command.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/tickets.py:fine \
    --workdir=runs/tickets_fine --config.data.noise.rate=0.4
python -m kdjax train --config=configs/cifar100/tickets.py:same-3-continued \
    --workdir=runs/tickets_same --config.data.noise.rate=0.4

The first detects by FINE and retrains from new weights. The second keeps what SAME
keeps with each of three proxies, which differ in their seeds, and goes on from the
first one. The paper's tables could not be read. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: DETECTOR[-PROXIES][-continued], such as clk, same-3, fine-continued."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": "resnet34_cifar"})
    config.method = ConfigDict({"name": "tickets", "loss": "ce"})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return recipes.tickets(config, **recipes.tickets_arguments(arg))
