r"""CIFAR-100 under symmetric noise: generalised cross entropy.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/gce.py --workdir=runs/gce \
    --config.data.noise.rate=0.4

Settings of "Winning Ticket in Noisy Image Classification", public code: its GCE has a
learning rate and a decay of its own. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: another network."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": arg or "resnet34_cifar"})
    config.method = ConfigDict({"name": "gce", "q": 0.7})
    config.optimizer.weight_decay = 1e-4
    config.schedule.learning_rate = 0.01
    config.schedule.factor = 0.1
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
