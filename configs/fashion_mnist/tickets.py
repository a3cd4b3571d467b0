r"""Fashion-MNIST subset under label noise: proxy, selection, retraining in one command.

python -m kdjax train --config=configs/fashion_mnist/tickets.py:fine \
    --workdir=runs/tickets_fine --config.data.noise.rate=0.4
python -m kdjax train --config=configs/fashion_mnist/tickets.py:same-3-continued \
    --workdir=runs/tickets_same --config.data.noise.rate=0.4

The first detects by FINE and retrains from new weights. The second keeps what SAME
keeps with each of three proxies, which differ in their seeds, and goes on from the
first one.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config(arg=""):
    """arg: DETECTOR[-PROXIES][-continued], such as clk, same-3, fine-continued."""
    config = common.base()
    config.model = common.medium_network()
    config.method = ConfigDict({"name": "tickets", "loss": "ce"})
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return recipes.tickets(config, **recipes.tickets_arguments(arg))
