r"""Fashion-MNIST subset, one student by a softened teacher with revised labels.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/lr_kl.py \
    --workdir=runs/lr_kl --config.teacher.workdir=runs/teacher

The numbers are those of RepDistiller for KD, and eta that of "Knowledge Distillation
with Refined Logits", public code; those of the authors could not be verified.
corrections.py compares with other methods.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(
        {"name": "lr_kl", "gamma": 0.1, "alpha": 0.9, "temperature": 4.0, "eta": 0.8}
    )
    return config
