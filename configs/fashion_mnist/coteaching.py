r"""Fashion-MNIST subset under symmetric noise: Co-teaching of two networks.

python -m kdjax train --config=configs/fashion_mnist/coteaching.py \
    --workdir=runs/coteaching

gradual_epochs is chosen here, for six epochs. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(
        {"name": "coteaching", "noise_rate": 0.4, "gradual_epochs": 2}
    )
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
