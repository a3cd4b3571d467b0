r"""ImageNet, ResNet-34 -> ResNet-18, dynamic temperature on adjusted logits.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet34-b627a593.pth --workdir=runs/resnet34 \
    --model=resnet34 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax train --config=configs/imagenet/dtd_la.py --workdir=runs/dtd_la \
    --config.teacher.workdir=runs/resnet34

Nothing is published for ImageNet; base, spread and gamma could not be verified either.
Watch temperature/floored. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another student than ResNet-18."""
    config = common.base()
    config.model.name = arg or "resnet18"
    config.method = ConfigDict(studies.repdistiller()["dtd_la"])
    return config
