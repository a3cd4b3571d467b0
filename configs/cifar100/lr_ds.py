r"""CIFAR-100, one student by label revision and data selection.

python -m kdjax train --config=configs/cifar100/baseline.py --workdir=runs/baseline
python -m kdjax train --config=configs/cifar100/lr_ds.py --workdir=runs/lr_ds \
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
    config.method = ConfigDict(
        {"name": "lr_ds", "lambda1": 4.0, "lambda2": 1.0, "eta": 0.8}
    )
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
