r"""CIFAR-100, smoothed labels where the teacher is wrong, by RepDistiller's protocol.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/ka_lsr.py:resnet20 \
    --workdir=runs/resnet20_ka_lsr --config.teacher.workdir=runs/resnet56

Nothing is published for this protocol; temperature and epsilon are the usual ones, the
paper's could not be verified. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student than WRN-16-2, as in ka_lsr.py:resnet20."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "ka_lsr", "temperature": 4.0, "epsilon": 0.1})
    return config
