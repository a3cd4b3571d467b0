r"""Fashion-MNIST subset, one student by label revision with squared errors.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/lr_mse.py \
    --workdir=runs/lr_mse --config.teacher.workdir=runs/teacher

lambda2 and eta are those of "Knowledge Distillation with Refined Logits", public code,
and lambda1 is a tenth of its number for ten times as many classes, so that the pull on
each logit is the same; the authors' numbers could not be verified. corrections.py
compares with other methods.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "lr_mse", **common.REVISION})
    return config
