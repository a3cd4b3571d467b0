r"""CIFAR-100, WRN-28-4 -> WRN-16-2 by softened logits, protocol of "KL versus MSE".

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4
python -m kdjax train --config=configs/cifar100/kd.py --workdir=runs/kd_tau20 \
    --config.teacher.workdir=runs/wrn_28_4 --config.method.temperature=20

Published at alpha 1: temperature 1 72.90, 3 74.24, 5 74.88, 20 75.76, inf 75.51; Kim et
al., draft, table 12. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student, as in kd.py:wrn_16_4."""
    config = common.base()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict(
        {
            "name": "kd",
            "alpha": 1.0,
            "temperature": 20.0,
            "small_temperature_fix": False,
        }
    )
    return config
