r"""Fashion-MNIST subset under label noise: detectors of clean labels, and controls.

python -m kdjax sweep --config=configs/fashion_mnist/detectors.py \
    --workdir=runs/detectors

One proxy, then CLK, SAME, FINE, the oracle and chance, and a retraining on each
selection; three rates of symmetric noise, three seeds.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = common.medium_network()
    config.method = ConfigDict({"name": "tickets", "loss": "ce"})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    config.evaluation.every_epochs = 0.0
    return recipes.compare_detectors(config)


def get_grid(arg=""):
    del arg
    return {"data.noise.rate": (0.2, 0.4, 0.6), "seed": studies.SEEDS}
