r"""CIFAR-100 under label noise: detectors of clean labels, and controls.

python -m kdjax prepare cifar100
python -m kdjax sweep --config=configs/cifar100/detectors.py \
    --workdir=runs/detectors

One proxy, then CLK, SAME, FINE, the oracle and chance, and a retraining on each
selection; three rates of symmetric noise, three seeds. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config():
    config = common.winning_tickets()
    config.model = ConfigDict({"name": "resnet34_cifar"})
    config.method = ConfigDict({"name": "tickets", "loss": "ce"})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    config.evaluation.every_epochs = 0.0
    return recipes.compare_detectors(config)


def get_grid(arg=""):
    del arg
    return {"data.noise.rate": (0.2, 0.4, 0.6), "seed": studies.SEEDS}
