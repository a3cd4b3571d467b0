r"""CIFAR-100, WRN-28-4 -> WRN-16-2 by smooth L1, protocol of "KL versus MSE".

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4
python -m kdjax train --config=configs/cifar100/smooth_l1.py --workdir=runs/smooth_l1 \
    --config.teacher.workdir=runs/wrn_28_4

An option of the authors' code for which nothing is published. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student, as in smooth_l1.py:wrn_16_4."""
    config = common.base()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "smooth_l1", "alpha": 1.0})
    return config
