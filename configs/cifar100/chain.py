r"""CIFAR-100: large -> medium -> small network, a loss for each link.

python -m kdjax train --config=configs/cifar100/chain.py:ce-kl-mse \
    --workdir=runs/chain
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: the loss of each network, ce, kl (temperature 3) or mse."""
    config = common.base()
    models = {
        "large": ConfigDict({"name": "wrn_28_4"}),
        "medium": ConfigDict({"name": "wrn_16_4"}),
        "small": ConfigDict({"name": "wrn_16_2"}),
    }
    words = (arg or "ce-kl-mse").split("-")
    links = [{"name": "chain", "link": word} for word in words]
    config.method = ConfigDict(links[0])
    return recipes.chain(config, models, links)
