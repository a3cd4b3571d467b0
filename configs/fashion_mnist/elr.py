"""Fashion-MNIST subset under symmetric noise: early-learning regularisation.

python -m kdjax train --config=configs/fashion_mnist/elr.py --workdir=runs/elr

beta and weight are those of "Winning Ticket in Noisy Image Classification", public
code, for CIFAR-10. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "elr", "beta": 0.7, "weight": 3.0})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
