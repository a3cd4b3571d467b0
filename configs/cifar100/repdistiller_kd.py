r"""CIFAR-100, KD by RepDistiller's protocol: WRN-40-2 -> WRN-16-2 by default.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/repdistiller_kd.py:resnet20 \
    --workdir=runs/resnet20_kd --config.teacher.workdir=runs/resnet56

Published, last epoch: wrn_40_2 -> wrn_16_2 74.92, resnet56 -> resnet20 70.66, resnet110
-> resnet32 73.08, resnet32x4 -> resnet8x4 73.33; RepDistiller's README. Not measured
here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student than WRN-16-2."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "kd", "alpha": 0.9, "temperature": 4.0})
    return config
