"""CIFAR-100, a teacher by cross entropy: WRN-28-4, protocol of "KL versus MSE".

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4

Published: 77.93 (WRN-28-4), 72.56 (WRN-16-2); Kim et al., draft, table 4. Not measured
here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another network, as in teacher.py:wrn_16_2."""
    config = common.base()
    config.model.name = arg or "wrn_28_4"
    config.method = ConfigDict({"name": "ce", "label_smoothing": 0.0})
    return config
