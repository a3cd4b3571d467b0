r"""Fashion-MNIST subset: CE, temperatures 1 to infinity and MSE, alpha 1; three seeds.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax sweep --config=configs/fashion_mnist/temperatures.py \
    --workdir=runs/temperatures --config.teacher.workdir=runs/teacher

The seven students of a seed share one teacher forward in one program.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(studies.CE)
    return config


def get_grid(arg=""):
    del arg
    return {"seed": studies.SEEDS, "method": studies.temperatures()}
