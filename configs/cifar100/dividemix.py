r"""CIFAR-100 under symmetric noise: DivideMix, labelled sets by SAME and by the losses.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/dividemix.py --workdir=runs/dividemix \
    --config.data.noise.rate=0.5

Settings of "Winning Ticket in Noisy Image Classification", public code, but ResNet-18
for its pre-activation form. --config.selection.detector="" is DivideMix itself. For
asymmetric noise: --config.method.entropy_penalty=True; for 20 % symmetric and 40 %
asymmetric noise: --config.method.unlabelled_weight=0. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common

WARMUP = 30.0


def get_config(arg=""):
    """arg: another network."""
    config = common.winning_tickets()
    config.model = ConfigDict({"name": arg or "resnet18_cifar"})
    config.method = ConfigDict(
        {
            "name": "dividemix",
            "warmup_epochs": WARMUP,
            "temperature": 0.5,
            "mixup": 4.0,
            "unlabelled_weight": 25.0,
            "ramp_epochs": 16.0,
            "entropy_penalty": False,
        }
    )
    config.selection = ConfigDict(
        {"name": "dividemix", "detector": "same", "warmup_epochs": WARMUP}
    )
    config.total_epochs = 300.0
    config.optimizer.weight_decay = 5e-4
    config.schedule.milestones = (150.0,)
    config.schedule.factor = 0.1
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
