r"""Fashion-MNIST subset, one student by smoothed labels where the teacher is wrong.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/ka_lsr.py \
    --workdir=runs/ka_lsr --config.teacher.workdir=runs/teacher

Temperature and epsilon are the usual ones, the paper's could not be verified;
corrections.py compares with other methods.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "ka_lsr", "temperature": 4.0, "epsilon": 0.1})
    return config
