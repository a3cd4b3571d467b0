r"""Fashion-MNIST subset, one student by squared error between logits.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/mse.py --workdir=runs/mse \
    --config.teacher.workdir=runs/teacher

Measured beside other ways, by students.py, in RESULTS.md.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "mse", "alpha": 1.0})
    return config
