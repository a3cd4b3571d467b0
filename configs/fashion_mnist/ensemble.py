"""Fashion-MNIST subset: three teachers, and students that combine them in four ways.

python -m kdjax train --config=configs/fashion_mnist/ensemble.py --workdir=runs/ensemble

All four students share the three teachers' forwards in one program. In any other config
--config.teacher.workdir=A,B,C names teachers trained before; methods other than
ensemble learn from the mean of their logits.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = common.small_network()
    teachers = {f"teacher{i}": common.large_network() for i in range(3)}
    kl = {"name": "ensemble", "temperature": 20.0}
    methods = {
        "mean_logits": kl | {"combine": "mean_logits"},
        "sum_logits": kl | {"combine": "sum_logits"},
        "mean_probabilities": kl | {"combine": "mean_probabilities"},
        "mse": {"name": "ensemble", "loss": "mse"},
    }
    config.method = ConfigDict(kl)
    return recipes.ensemble(config, teachers, methods)
