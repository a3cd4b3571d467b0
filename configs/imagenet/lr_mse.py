r"""ImageNet, ResNet-34 -> ResNet-18, label revision.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet34-b627a593.pth --workdir=runs/resnet34 \
    --model=resnet34 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax train --config=configs/imagenet/lr_mse.py --workdir=runs/lr_mse \
    --config.teacher.workdir=runs/resnet34

The authors' tables could not be read. Reported as "LR" by "Knowledge Distillation with
Refined Logits", ICCV 2025, with batches of 512: 70.29, read in a transcription and not
verified here. lambda2 and eta are those of its code for CIFAR-100; lambda1 is 40, the 4
of that code by 4 K / 100 for 1,000 classes. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another student than ResNet-18."""
    config = common.base()
    config.model.name = arg or "resnet18"
    config.method = ConfigDict(studies.revisions(4.0, lambda2=1.0, eta=0.8)["lr_mse"])
    return config
