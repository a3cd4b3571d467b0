r"""ImageNet, ResNet-50 -> MobileNetV1 by softened logits: half labels, half teacher.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet50-0676ba61.pth --workdir=runs/resnet50 \
    --model=resnet50 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax train --config=configs/imagenet/mobilenet_v1.py \
    --workdir=runs/mobilenet_v1 --config.teacher.workdir=runs/resnet50

Published: 68.87 alone (ReviewKD's README), 70.50 with temperature 1 and alpha 0.5 in
batches of 512 (mdistiller's README). Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config():
    config = common.base()
    config.model.name = "mobilenet_v1"
    config.method = ConfigDict(studies.kd(1.0, alpha=0.5))
    return config
