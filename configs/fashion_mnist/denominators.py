"""Fashion-MNIST subset: data selection and label revision, by set and by batch.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/baseline.py --workdir=runs/baseline
python -m kdjax train --config=configs/fashion_mnist/denominators.py:runs/baseline \
    --workdir=runs/denominators --config.teacher.workdir=runs/teacher

Seven students in one program: KD, data selection by the influence scores of the
baseline and at random, and label revision. All but KD are there twice, as the losses
are divided by each set's own number of samples or by the batch's.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common
from kdjax.methods.denominators import DENOMINATORS


def get_config(arg=""):
    """arg: the reference of the influence scores, a run that is trained."""
    config = common.base()
    config.model = common.small_network()
    kd = {"name": "kd", "alpha": 1.0, "temperature": 4.0}
    influence = {"name": "influence", "reference": arg, "keep_ratio": 0.8}
    random = {"name": "random", "keep_ratio": 0.8}
    students = {"kd": {"method": kd}}
    for kind in DENOMINATORS:
        ds = {"name": "ds", "temperature": 4.0, "denominator": kind}
        revision = {"name": "lr_mse", **common.REVISION, "denominator": kind}
        students[f"ds_{kind}"] = {"method": ds, "selection": influence}
        students[f"random_{kind}"] = {"method": ds, "selection": random}
        students[f"lr_mse_{kind}"] = {"method": revision}
    config.students = ConfigDict(students)
    return config
