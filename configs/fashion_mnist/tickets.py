r"""Fashion-MNIST subset under label noise: proxy, selection, retraining in one command.

python -m kdjax train --config=configs/fashion_mnist/tickets.py:fine \
    --workdir=runs/tickets_fine --config.data.noise.rate=0.4
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config(arg=""):
    """arg: clk, same or fine."""
    config = common.base()
    config.model = common.medium_network()
    config.method = ConfigDict({"name": "tickets", "loss": "ce"})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return recipes.tickets(config, arg or "fine")
