r"""CIFAR-100, WRN-28-4 -> WRN-16-2: seven students of one teacher in one program.

python -m kdjax train --config=configs/cifar100/temperatures.py --workdir=runs/column \
    --config.teacher.workdir=runs/wrn_28_4

The column of "KL versus MSE" for this pair; published values in kd.py and mse.py.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common

TEMPERATURES = {"1": 1.0, "3": 3.0, "5": 5.0, "20": 20.0, "inf": float("inf")}


def get_config(arg=""):
    """arg: another student, as in temperatures.py:wrn_16_4."""
    config = common.base()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "ce"})
    methods = {"ce": {"name": "ce"}, "mse": {"name": "mse"}}
    for name, value in TEMPERATURES.items():
        methods[f"kd_tau{name}"] = {"name": "kd", "alpha": 1.0, "temperature": value}
    config.students = ConfigDict({n: {"method": m} for n, m in methods.items()})
    return config
