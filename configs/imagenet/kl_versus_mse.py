r"""ImageNet, ResNet-152 -> ResNet-50: labels, KL at two temperatures, squared error.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet152-394f9c45.pth --workdir=runs/resnet152 \
    --model=resnet152 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax sweep --config=configs/imagenet/kl_versus_mse.py \
    --workdir=runs/kl_versus_mse --config.teacher.workdir=runs/resnet152

Kim et al. 2021 (arXiv:2105.08919), alpha 1, a teacher of 78.31 that is wrong on 18.84 %
of its training images. Published: labels 76.28 (of the OFD repository), temperature 20
77.52, squared error 75.84, worse than labels; recalled and not verified but for the
first. The four students share one teacher forward in one program; where they do not fit
the device together, --students_per_program=1. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: another student than ResNet-50."""
    config = common.base()
    config.model.name = arg or "resnet50"
    config.method = ConfigDict(studies.CE)
    return config


def get_grid(arg=""):
    del arg
    methods = studies.temperatures()
    return {"method": {n: methods[n] for n in ("ce", "kd_tau1", "kd_tau20", "mse")}}
