r"""CIFAR-100, a network by labels, by RepDistiller's protocol: a teacher or a baseline.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56

Published: wrn_40_2 75.61, resnet56 72.34, resnet110 74.31, resnet32x4 79.42, vgg13
74.64, ResNet50 79.34; RepDistiller's README. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common
from kdjax.experiment.comparable import put_published
from kdjax.reproduce import published, repdistiller


def get_config(arg=""):
    """arg: another network than WRN-40-2, as called here or by RepDistiller."""
    config = common.repdistiller()
    name = repdistiller.network(arg or "wrn_40_2")
    config.model.name = name
    config.method = ConfigDict({"name": "ce", "label_smoothing": 0.0})
    config.schedule.learning_rate, _ = repdistiller.training("ce", "", name)
    if name in published.LABELS:
        put_published(config, published.LABELS[name], published.README)
    return config
