r"""CIFAR-100: alpha 0.1 to 1 times tau 1 to infinity, as in "KL versus MSE".

python -m kdjax sweep --config=configs/cifar100/alphas.py --workdir=runs/alphas \
    --config.teacher.workdir=runs/teacher --students_per_program=10

Fifty students, ten to a program. evaluation.on_train is on, as the paper's second table
is about training accuracy.
"""

from ml_collections import ConfigDict

from configs import studies
from configs.cifar100 import common


def get_config(arg=""):
    del arg
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict(studies.CE)
    config.evaluation.on_train = True
    config.evaluation.every_epochs = 0.0
    return config


def get_grid(arg=""):
    del arg
    return {"method": studies.alphas_and_temperatures()}
