r"""Fashion-MNIST subset, one student by softened logits.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/kd.py --workdir=runs/kd \
    --config.teacher.workdir=runs/teacher

Measured beside other ways, by students.py, in RESULTS.md.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "kd", "alpha": 1.0, "temperature": 4.0})
    return config
