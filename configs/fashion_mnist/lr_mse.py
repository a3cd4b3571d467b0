r"""Fashion-MNIST subset, one student by label revision with squared errors.

python -m kdjax train --config=configs/fashion_mnist/lr_mse.py \
    --workdir=runs/lr_mse --config.teacher.workdir=runs/teacher

Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config(arg=""):
    del arg
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(
        {"name": "lr_mse", "lambda1": 4.0, "lambda2": 1.0, "eta": 0.8}
    )
    return config
