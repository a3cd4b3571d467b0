r"""CIFAR-100, label revision and data selection in one command.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/teacher.py --workdir=runs/wrn_28_4
python -m kdjax train --config=configs/cifar100/lr_ds.py --workdir=runs/lr_ds \
    --config.teacher.workdir=runs/wrn_28_4

The reference is the same network trained on labels, on all images but the tenth that
stands for unseen ones in its influence scores (stage `select_training`). They select
80 % of the samples for the teacher; the rest have labels. With a trained reference:

python -m kdjax train --config=configs/cifar100/baseline.py --workdir=runs/baseline
python -m kdjax train --config=configs/cifar100/lr_ds.py:runs/baseline \
    --workdir=runs/lr_ds_of_baseline --config.teacher.workdir=runs/wrn_28_4

The paper's estimator, ratio and numbers could not be read; estimator and ratio are
chosen here. lambda1, lambda2 and eta are those of "Knowledge Distillation with Refined
Logits", public code. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: a reference that is trained already; by default it is trained first."""
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict(studies.repdistiller()["lr_ds"])
    return recipes.data_selection(config, arg)
