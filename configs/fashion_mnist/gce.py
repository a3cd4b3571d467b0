"""Fashion-MNIST subset under symmetric noise: generalised cross entropy.

python -m kdjax train --config=configs/fashion_mnist/gce.py --workdir=runs/gce

q is that of "Winning Ticket in Noisy Image Classification", public code. Not measured
here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "gce", "q": 0.7})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
