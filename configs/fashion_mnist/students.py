r"""Fashion-MNIST subset, five ways to teach WRN-10 4/8/16, in one program.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/students.py \
    --workdir=runs/students --config.teacher.workdir=runs/teacher

What came out stands in RESULTS.md.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common

INFINITY = float("inf")


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "ce"})
    methods = {
        "ce": {"name": "ce"},
        "kd_tau1": {"name": "kd", "alpha": 1.0, "temperature": 1.0},
        "kd_tau4": {"name": "kd", "alpha": 1.0, "temperature": 4.0},
        "kd_inf": {"name": "kd", "alpha": 1.0, "temperature": INFINITY},
        "mse": {"name": "mse"},
    }
    config.students = ConfigDict({n: {"method": m} for n, m in methods.items()})
    return config
