r"""CIFAR-100, a teacher by RepDistiller's protocol: WRN-40-2, or the network named.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56

Published: wrn_40_2 75.61, resnet56 72.34, resnet110 74.31, resnet32x4 79.42;
RepDistiller's README. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another network than WRN-40-2."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_40_2"
    config.method = ConfigDict({"name": "ce", "label_smoothing": 0.0})
    return config
