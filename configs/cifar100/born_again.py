r"""CIFAR-100: one network, each generation the teacher of the next.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/born_again.py:3 \
    --workdir=runs/born_again

Published: 72.56 by labels, then 73.02, 72.79, 72.86; Kim et al., draft, table 7, which
has eight generations. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config(arg=""):
    """arg: how many generations after the one trained on labels."""
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    method = {"name": "born_again", "alpha": 1.0, "temperature": 20.0}
    config.method = ConfigDict(method)
    return recipes.born_again(config, int(arg or 2), method)
