r"""Fashion-MNIST subset: LA, DTD, LR and DS beside plain KD; three seeds.

python -m kdjax sweep --config=configs/fashion_mnist/teacher.py \
    --workdir=runs/teachers --grid.seed=0,1,2
python -m kdjax sweep --config=configs/fashion_mnist/baseline.py \
    --workdir=runs/baselines --grid.seed=0,1,2
python -m kdjax sweep --config=configs/fashion_mnist/corrections.py:runs/baselines \
    --workdir=runs/corrections --students_per_program=16 \
    --config.teacher.workdir="runs/teachers/seed-{seed}"

Data selection uses the baseline, the same student trained on labels, to find where the
teacher helps; its control selects as many samples at random.
"""

from ml_collections import ConfigDict

from configs.fashion_mnist import common
from kdjax.reproduce import studies


def get_config(arg=""):
    del arg  # of the grid
    config = common.base()
    config.model = common.small_network()
    config.method = ConfigDict(studies.CE)
    return config


def get_grid(arg=""):
    """arg: where the sweep of baseline.py lies."""
    reference = f"{arg or 'runs/baselines'}/seed-{{seed}}"
    methods = studies.adjustments(temperature=4.0, spread=4.0)
    methods |= studies.revisions(temperature=4.0, lambda1=common.REVISION["lambda1"])
    selections = studies.selections(reference)
    pairs = {n: (m, selections.get(n, {"name": "all"})) for n, m in methods.items()}
    return {"seed": studies.SEEDS, "method,selection": pairs}
