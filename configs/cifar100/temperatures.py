r"""CIFAR-100, WRN-28-4 -> WRN-16-2: CE, temperatures 1 to infinity, MSE; three seeds.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4
python -m kdjax sweep --config=configs/cifar100/temperatures.py \
    --workdir=runs/temperatures --config.teacher.workdir=runs/wrn_28_4

The row of "KL versus MSE" for this pair; published values are in kd.py. The seven
students of a seed share one teacher forward in one program. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another student, as in temperatures.py:wrn_16_4."""
    config = common.base()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict(studies.CE)
    return config


def get_grid(arg=""):
    del arg
    return {"seed": studies.SEEDS, "method": studies.temperatures()}
