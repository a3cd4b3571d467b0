r"""ImageNet, ResNet-34 -> ResNet-18 by the squared error between logits.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet34-b627a593.pth --workdir=runs/resnet34 \
    --model=resnet34 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax train --config=configs/imagenet/mse.py --workdir=runs/mse \
    --config.teacher.workdir=runs/resnet34

Nothing is published for this pair that could be read; for ResNet-152 -> ResNet-50 see
kl_versus_mse.py, where it is worse than labels alone. The mean over classes is that of
the code of Kim et al. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another student than ResNet-18."""
    config = common.base()
    config.model.name = arg or "resnet18"
    config.method = ConfigDict(studies.MSE | {"alpha": 1.0, "reduction": "mean"})
    return config
