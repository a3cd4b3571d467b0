r"""CIFAR-100, logits adjusted by probability shift, by RepDistiller's protocol.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/ka_ps.py:resnet20 \
    --workdir=runs/resnet20_ka_ps --config.teacher.workdir=runs/resnet56

Nothing of the authors for this protocol. Reported as "LA" at temperature 4 by
"Knowledge Distillation with Refined Logits", ICCV 2025, mean of 3 runs, read in a
transcription and not verified here: resnet32x4 -> resnet8x4 73.46, wrn_40_2 -> wrn_40_1
73.75, resnet56 -> resnet20 71.24, resnet110 -> resnet32 73.39, resnet110 -> resnet20
70.86. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common


def get_config(arg=""):
    """arg: another student than WRN-16-2, as in ka_ps.py:resnet20."""
    config = common.repdistiller()
    config.model.name = arg or "wrn_16_2"
    config.method = ConfigDict({"name": "ka_ps", "temperature": 4.0})
    return config
