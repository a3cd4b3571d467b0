r"""CIFAR-100: LA, DTD, LR and DS beside plain KD; three seeds.

python -m kdjax prepare cifar100
python -m kdjax sweep --config=configs/cifar100/teacher.py \
    --workdir=runs/teachers --grid.seed=0,1,2
python -m kdjax sweep --config=configs/cifar100/baseline.py \
    --workdir=runs/baselines --grid.seed=0,1,2
python -m kdjax sweep --config=configs/cifar100/corrections.py:runs/baselines \
    --workdir=runs/corrections --students_per_program=16 \
    --config.teacher.workdir="runs/teachers/seed-{seed}"

Data selection uses the baseline, the same student trained on labels, to find where the
teacher helps; its control selects as many samples at random. Not
measured here yet.
"""

from ml_collections import ConfigDict

from configs.cifar100 import common
from kdjax.reproduce import studies


def get_config(arg=""):
    del arg  # of the grid
    config = common.base()
    config.model = ConfigDict({"name": "wrn_16_2"})
    config.method = ConfigDict(studies.CE)
    return config


def get_grid(arg=""):
    """arg: where the sweep of baseline.py lies."""
    reference = f"{arg or 'runs/baselines'}/seed-{{seed}}"
    methods = studies.adjustments(temperature=4.0, spread=4.0)
    methods |= studies.revisions(temperature=4.0)
    selections = studies.selections(reference)
    pairs = {n: (m, selections.get(n, {"name": "all"})) for n, m in methods.items()}
    return {"seed": studies.SEEDS, "method,selection": pairs}
