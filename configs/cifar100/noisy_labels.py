r"""CIFAR-100: a teacher of noisy labels, students by temperature.

python -m kdjax prepare cifar100
python -m kdjax sweep --config=configs/cifar100/teacher.py \
    --workdir=runs/noisy_teachers --grid.seed=0,1,2 \
    --config.data.noise.name=symmetric --config.data.noise.rate=0.4
python -m kdjax sweep --config=configs/cifar100/noisy_labels.py \
    --workdir=runs/noisy_labels \
    --config.teacher.workdir="runs/noisy_teachers/seed-{seed}"

Alpha is 1: the students see no label, and the test labels are clean. The paper shows
this in a figure whose rates and numbers could not be verified. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict(studies.CE)
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config


def get_grid(arg=""):
    del arg
    return {"seed": studies.SEEDS, "method": studies.under_noise()}
