r"""Fashion-MNIST subset, data selection: a reference, then the student, in one command.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
python -m kdjax train --config=configs/fashion_mnist/ds.py --workdir=runs/ds \
    --config.teacher.workdir=runs/teacher

The reference is the same network trained on labels, on all images but the tenth that
stands for unseen ones in its influence scores (stage `select_training`). They select
80 % of the samples for the teacher; the rest have labels. With a trained reference:

python -m kdjax train --config=configs/fashion_mnist/baseline.py --workdir=runs/baseline
python -m kdjax train --config=configs/fashion_mnist/ds.py:runs/baseline \
    --workdir=runs/ds_of_baseline --config.teacher.workdir=runs/teacher

The paper's estimator, ratio and numbers could not be read; estimator and ratio are
chosen here. corrections.py has the control, as many samples at random.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common


def get_config(arg=""):
    """arg: a reference that is trained already; by default it is trained first."""
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "ds", "temperature": 4.0})
    return recipes.data_selection(config, arg)
