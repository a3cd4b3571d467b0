r"""CIFAR-100, temperatures by the student's confusion, by RepDistiller's protocol.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/dtd_flsw.py:resnet20 \
    --workdir=runs/resnet20_dtd_flsw --config.teacher.workdir=runs/resnet56

Nothing is published for this protocol; base and spread could not be verified either.
Watch temperature/floored. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student than WRN-16-2, as in dtd_flsw.py:resnet20."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict(
        {
            "name": "dtd_flsw",
            "base": 10.0,
            "spread": 40.0,
            "gamma": 1.0,
        }
    )
    return config
