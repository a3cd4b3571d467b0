r"""Fashion-MNIST subset: large -> medium -> small network, a loss for each link.

python -m kdjax train --config=configs/fashion_mnist/chain.py:ce-kl-mse \
    --workdir=runs/chain
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config(arg=""):
    """arg: the loss of each network, ce, kl (temperature 3) or mse."""
    config = common.base()
    models = {
        "large": common.large_network(),
        "medium": common.medium_network(),
        "small": common.small_network(),
    }
    words = (arg or "ce-kl-mse").split("-")
    links = [{"name": "chain", "link": word} for word in words]
    config.method = ConfigDict(links[0])
    return recipes.chain(config, models, links)
