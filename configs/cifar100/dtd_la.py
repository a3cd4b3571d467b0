r"""CIFAR-100, dynamic temperature on adjusted logits, by RepDistiller's protocol.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/dtd_la.py:resnet20 \
    --workdir=runs/resnet20_dtd_la --config.teacher.workdir=runs/resnet56

Nothing is published for this protocol; base and spread could not be verified either.
Watch temperature/floored. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another student than WRN-16-2, as in dtd_la.py:resnet20."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict(studies.repdistiller()["dtd_la"])
    return config
