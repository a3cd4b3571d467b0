r"""Fashion-MNIST subset under symmetric noise: DivideMix with SAME.

python -m kdjax train --config=configs/fashion_mnist/dividemix.py \
    --workdir=runs/dividemix

The epochs of warm-up and ramp are chosen here, for six in all. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common

WARMUP = 2.0


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(
        {"name": "dividemix", "warmup_epochs": WARMUP, "ramp_epochs": 4.0}
    )
    config.selection = ConfigDict(
        {"name": "dividemix", "detector": "same", "warmup_epochs": WARMUP}
    )
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config
