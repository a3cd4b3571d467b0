r"""ImageNet, a patient teacher: ResNet-152 -> ResNet-50 on mixtures, 300 epochs.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet152-394f9c45.pth --workdir=runs/resnet152 \
    --model=resnet152 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax train --config=configs/imagenet/patient.py:300 --workdir=runs/patient \
    --config.teacher.workdir=runs/resnet152

L. Beyer et al., "Knowledge distillation: A good teacher is patient and consistent",
CVPR 2022 (arXiv:2106.05237): teacher and student see the same crops and the same
mixtures of two images in any ratio, no label is read, KL at temperature 1, and it goes
on for long. Published for another teacher, BiT-M R152x2 (83.0) with BiT-R50x1: 82.8
after their longest run. As in the public config: batches of 4096, gradients clipped at
1, half a cosine. The rate follows the batch; on few devices --config.batch_size=1024.

Departs from the paper: that teacher is not to be had here, nor its student, whose
networks have group norm and standardised weights; Adam (0.03 with decay 0.0003) is SGD
by the rule of common.py, for torchvision's networks with batch norm; the warm-up is 5
epochs, not 5000 steps; all training images are used, not 98 %; a ratio is drawn for
each image, not for each batch. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: epochs, 300 by default; the public config has 1200."""
    config = common.patient(float(arg or 300))
    config.model = ConfigDict({"name": "resnet50"})
    config.method = ConfigDict(studies.kd(1.0))
    return config
