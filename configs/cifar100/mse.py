r"""CIFAR-100, WRN-28-4 -> WRN-16-2 by squared error, protocol of "KL versus MSE".

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4
python -m kdjax train --config=configs/cifar100/mse.py --workdir=runs/mse \
    --config.teacher.workdir=runs/wrn_28_4

The paper's number for it could not be verified: the authors' draft has none. The mean
over classes is that of their code. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student, as in mse.py:wrn_16_4."""
    config = common.base()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "mse", "alpha": 1.0, "reduction": "mean"})
    return config
