r"""CIFAR-100, temperatures by the student's confidence, by RepDistiller's protocol.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/dtd_cwsm.py:resnet20 \
    --workdir=runs/resnet20_dtd_cwsm --config.teacher.workdir=runs/resnet56

Nothing is published for this protocol; base and spread could not be verified either.
Watch temperature/floored. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student than WRN-16-2, as in dtd_cwsm.py:resnet20."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "dtd_cwsm", "base": 10.0, "spread": 0.1})
    return config
