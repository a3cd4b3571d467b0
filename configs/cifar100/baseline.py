"""CIFAR-100: the student by cross entropy, without a teacher.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/baseline.py --workdir=runs/baseline

Published: 72.56 (WRN-16-2); Kim et al., draft, table 4. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict(studies.CE)
    return config
