r"""CIFAR-100, KD with revised labels by RepDistiller's protocol: WRN-40-2 -> WRN-40-1.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:wrn_40_2 \
    --workdir=runs/wrn_40_2
python -m kdjax train --config=configs/cifar100/lr_kl.py --workdir=runs/lr_kl \
    --config.teacher.workdir=runs/wrn_40_2

Nothing is published for this form; for KD alone, wrn_40_2 -> wrn_40_1 73.54 in
RepDistiller's README. gamma, alpha and temperature are those of that KD; eta is that of
"Knowledge Distillation with Refined Logits", public code. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student, as in lr_kl.py:resnet8x4."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_40_1"
    config.method = ConfigDict(
        {"name": "lr_kl", "gamma": 0.1, "alpha": 0.9, "temperature": 4.0, "eta": 0.8}
    )
    return config
