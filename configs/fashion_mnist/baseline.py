"""Fashion-MNIST subset: the student by cross entropy, without a teacher.

python -m kdjax train --config=configs/fashion_mnist/baseline.py --workdir=runs/baseline
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(studies.CE)
    return config
