"""Fashion-MNIST subset under symmetric noise: symmetric cross entropy.

python -m kdjax train --config=configs/fashion_mnist/sce.py --workdir=runs/sce

alpha and beta are those of "Winning Ticket in Noisy Image Classification", public code,
for CIFAR-10. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "sce", "alpha": 0.1, "beta": 1.0})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
