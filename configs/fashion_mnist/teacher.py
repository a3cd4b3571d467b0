"""Fashion-MNIST subset, the teacher: WRN-10 with 24/48/96 channels.

python -m kdjax train --config=configs/fashion_mnist/teacher.py --workdir=runs/teacher
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config():
    config = common.base()
    config.model = ConfigDict(
        {"name": "wide_resnet", "depth": 10, "widths": (24, 48, 96), "stem": 16}
    )
    config.method = ConfigDict({"name": "ce", "label_smoothing": 0.0})
    return config
