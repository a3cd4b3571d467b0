r"""ImageNet, label revision and data selection in one command.

python -m kdjax prepare imagenet2012 --archives=archives
python -m kdjax import resnet34-b627a593.pth --workdir=runs/resnet34 \
    --model=resnet34 --image_shape=224,224,3 \
    --mean=0.485,0.456,0.406 --std=0.229,0.224,0.225
python -m kdjax train --config=configs/imagenet/lr_ds.py --workdir=runs/lr_ds \
    --config.teacher.workdir=runs/resnet34

The reference is the same network trained on labels, on all images but the tenth that
stands for unseen ones in its influence scores (stage `select_training`). They select
80 % of the samples for the teacher; the rest have labels. With a trained reference:

python -m kdjax train --config=configs/imagenet/baseline.py --workdir=runs/baseline
python -m kdjax train --config=configs/imagenet/lr_ds.py:runs/baseline \
    --workdir=runs/lr_ds_of_baseline --config.teacher.workdir=runs/resnet34

The scores take all training images once through the reference and once through the
teacher, decoded on the way, and their logits in memory: 5 GB each in float32,
a few times that while scores are computed.

The paper's estimator, ratio and numbers could not be read; estimator and ratio are
chosen here. lambda2 and eta are those of "Knowledge Distillation with Refined Logits",
public code for CIFAR-100; lambda1 is 40, the 4 of that code by 4 K / 100 for 1,000
classes. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.imagenet import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: a reference that is trained already; by default it is trained first."""
    config = common.base()
    config.model = ConfigDict({"name": "resnet18"})
    config.method = ConfigDict(studies.revisions(4.0, lambda2=1.0, eta=0.8)["lr_ds"])
    return recipes.data_selection(config, arg)
