r"""Fashion-MNIST subset: a teacher of noisy labels, students by temperature.

python -m kdjax sweep --config=configs/fashion_mnist/teacher.py \
    --workdir=runs/noisy_teachers --grid.seed=0,1,2 \
    --config.data.noise.name=symmetric --config.data.noise.rate=0.4
python -m kdjax sweep --config=configs/fashion_mnist/noisy_labels.py \
    --workdir=runs/noisy_labels \
    --config.teacher.workdir="runs/noisy_teachers/seed-{seed}"

Alpha is 1: the students see no label, and the test labels are clean.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(studies.CE)
    config.data.noise = ConfigDict(recipes.SYMMETRIC)
    return config


def get_grid(arg=""):
    del arg
    return {"seed": studies.SEEDS, "method": studies.under_noise()}
