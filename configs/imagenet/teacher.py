r"""ImageNet, a teacher by cross entropy: ResNet-34, or the network named.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax train --config=configs/imagenet/teacher.py --workdir=runs/teacher

Published: 73.31 (resnet34), 76.13 (resnet50), 78.31 (resnet152), torchvision's first
weights, which `import` takes instead of a training. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another network, as in teacher.py:resnet50."""
    config = common.base()
    config.model.name = arg or "resnet34"
    config.method = ConfigDict(studies.CE)
    return config
