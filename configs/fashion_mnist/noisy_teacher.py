r"""Fashion-MNIST subset: a teacher that is wrong about its images, then five students.

python -m kdjax train --config=configs/fashion_mnist/noisy_teacher.py:labels \
    --workdir=runs/noisy_teacher

The temperatures matter most here: "KL versus MSE" finds the best at 1 and below, by a
public summary. A whole grid over them is noisy_labels.py.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config(arg=""):
    """arg: "labels", 40 % of the teacher's are drawn at random; or "underfitted", it
    stops at the first evaluation with a training accuracy of 53.8 %."""
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict({"name": "noisy_teacher", "temperature": 0.5})
    teacher, changes = common.large_network(), recipes.spoilt(arg or "labels")
    return recipes.noisy_teacher(config, teacher, studies.bad_teacher(), changes)
