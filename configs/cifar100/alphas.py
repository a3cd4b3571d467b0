r"""CIFAR-100: alpha 0.1 to 1 times tau 1 to infinity, as in "KL versus MSE".

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4
python -m kdjax sweep --config=configs/cifar100/alphas.py --workdir=runs/alphas \
    --config.teacher.workdir=runs/wrn_28_4 --students_per_program=10

Fifty students, ten to a program. Published: Kim et al., draft, tables 11 and 12; the
column of alpha 1 is in kd.py. evaluation.on_train is on, as table 11 is about training
accuracy; theirs is of crops, ours of whole images. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict(studies.CE)
    config.evaluation.on_train = True
    config.evaluation.every_epochs = 0.0
    return config


def get_grid(arg=""):
    del arg
    return {"method": studies.alphas_and_temperatures()}
