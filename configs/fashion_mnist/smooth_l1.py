r"""Fashion-MNIST subset, one student by the smooth L1 distance between logits.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/smooth_l1.py \
    --workdir=runs/smooth_l1 --config.teacher.workdir=runs/teacher

An option of the authors' code for which nothing is published. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "smooth_l1", "alpha": 1.0})
    return config
