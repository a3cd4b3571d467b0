r"""CIFAR-100, one student by data selection alone.

python -m kdjax train --config=configs/cifar100/baseline.py --workdir=runs/baseline
python -m kdjax train --config=configs/cifar100/ds.py --workdir=runs/ds \
    --config.teacher.workdir=runs/teacher --config.selection.reference=runs/baseline

The baseline, the same student trained on labels, says where the teacher helps. Not
measured by the paper's authors in a table that could be read.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    del arg
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict({"name": "ds", "temperature": 4.0})
    config.selection = ConfigDict(
        {
            "name": "influence",
            "reference": "runs/baseline",
            "estimator": "teacher_influence",
            "keep_ratio": 0.8,
            "class_balanced": False,
        }
    )
    return config
