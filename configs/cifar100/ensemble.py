"""CIFAR-100: three teachers, and students that combine them in four ways.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/ensemble.py --workdir=runs/ensemble

All four students share the three teachers' forwards in one program. In any other config
--config.teacher.workdir=A,B,C names teachers trained before; methods other than
ensemble learn from the mean of their logits.

Which teachers the paper has, and its numbers, could not be verified; three WRN-28-4 are
chosen here. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common


def get_config():
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    teachers = {f"teacher{i}": ConfigDict({"name": "wrn_28_4"}) for i in range(3)}
    kl = {"name": "ensemble", "temperature": 20.0}
    methods = {
        "mean_logits": kl | {"combine": "mean_logits"},
        "sum_logits": kl | {"combine": "sum_logits"},
        "mean_probabilities": kl | {"combine": "mean_probabilities"},
        "mse": {"name": "ensemble", "loss": "mse"},
    }
    config.method = ConfigDict(kl)
    return recipes.ensemble(config, teachers, methods)
