r"""ImageNet: the student by cross entropy, without a teacher.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax train --config=configs/imagenet/baseline.py --workdir=runs/baseline

Published: 69.76 (resnet18), 76.13 (resnet50), torchvision's first weights; 68.87
(mobilenet_v1), ReviewKD's README. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another network than ResNet-18, as in baseline.py:resnet50."""
    config = common.base()
    config.model.name = arg or "resnet18"
    config.method = ConfigDict(studies.CE)
    return config
