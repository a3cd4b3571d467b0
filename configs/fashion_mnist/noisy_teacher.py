r"""Fashion-MNIST subset: a teacher that is wrong about its images, then four students.

python -m kdjax train --config=configs/fashion_mnist/noisy_teacher.py:labels \
    --workdir=runs/noisy_teacher

The temperatures matter most here: "KL versus MSE" finds the best below 1. A whole grid
over them is noisy_labels.py.
"""

from ml_collections import ConfigDict

from configs import recipes, studies
from configs.fashion_mnist import common


def get_config(arg=""):
    """arg: "labels", 40 % of the teacher's are drawn at random; or "underfitted", it
    stops at the first evaluation with a training accuracy of 53.8 %."""
    config = common.base()
    config.model = common.small_network()
    methods = {
        name: {"name": "noisy_teacher", "temperature": tau}
        for name, tau in (
            ("tau01", 0.1),
            ("tau05", 0.5),
            ("tau1", 1.0),
            ("tau20", 20.0),
        )
    }
    config.method = ConfigDict({"name": "noisy_teacher", "temperature": 0.5})
    bad = {
        "labels": {"data": {"noise": recipes.SYMMETRIC}},
        "underfitted": {
            "stop_at_train_top1": 53.8,
            "evaluation": {"every_epochs": 0.1},
        },
    }
    changes = bad[arg or "labels"]
    methods["mse"] = studies.MSE
    return recipes.noisy_teacher(config, common.large_network(), methods, changes)
