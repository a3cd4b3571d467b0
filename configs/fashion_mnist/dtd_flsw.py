r"""Fashion-MNIST subset, one student by temperatures that follow its confusion.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/dtd_flsw.py \
    --workdir=runs/dtd_flsw --config.teacher.workdir=runs/teacher

base and spread could not be verified in the paper; corrections.py compares with other
methods, at base and spread 4.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(
        {
            "name": "dtd_flsw",
            "base": 10.0,
            "spread": 40.0,
            "gamma": 1.0,
        }
    )
    return config
