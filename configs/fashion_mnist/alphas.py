r"""Fashion-MNIST subset: alpha 0.1 to 1 times tau 1 to infinity, as in "KL versus MSE".

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax sweep --config=configs/fashion_mnist/alphas.py --workdir=runs/alphas \
    --config.teacher.workdir=runs/teacher --students_per_program=10

Fifty students, ten to a program. evaluation.on_train is on, as the authors' draft has a
table of training accuracies too; theirs are of crops, ours of whole images.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(studies.CE)
    config.evaluation.on_train = True
    config.evaluation.every_epochs = 0.0
    return config


def get_grid(arg=""):
    del arg
    return {"method": studies.alphas_and_temperatures()}
