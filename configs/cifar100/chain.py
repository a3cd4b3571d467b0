r"""CIFAR-100: large -> medium -> small network, a loss for each link.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/chain.py:ce-kl-mse \
    --workdir=runs/chain

The networks of "KL versus MSE", which finds KL first and then squared error best for
the small one, and 74.52 for ce-kl-kl, both by a public summary; its number for
ce-kl-mse could not be verified. Not measured here yet.
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
