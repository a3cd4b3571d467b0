r"""Fashion-MNIST subset: one network, each generation the teacher of the next.

python -m kdjax train --config=configs/fashion_mnist/born_again.py:3 \
    --workdir=runs/born_again
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config(arg=""):
    """arg: how many generations after the one trained on labels."""
    config = common.base()
    config.model = common.small_network()
    method = {"name": "born_again", "alpha": 1.0, "temperature": 20.0}
    config.method = ConfigDict(method)
    return recipes.born_again(config, int(arg or 2), method)
