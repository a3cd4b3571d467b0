r"""Fashion-MNIST subset, one student by logits adjusted by probability shift.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/ka_ps.py \
    --workdir=runs/ka_ps --config.teacher.workdir=runs/teacher

corrections.py compares with other methods.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "ka_ps", "temperature": 4.0})
    return config
