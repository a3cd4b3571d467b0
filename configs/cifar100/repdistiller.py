r"""CIFAR-100, RepDistiller's benchmark: METHOD[+RULES],TEACHER,STUDENT of 13 pairs.

python -m kdjax prepare cifar100
python -m kdjax train --config=configs/cifar100/repdistiller_teacher.py:resnet56 \
    --workdir=runs/resnet56
python -m kdjax train --config=configs/cifar100/repdistiller.py:crd,resnet56,resnet20 \
    --workdir=runs/resnet20_crd --config.teacher.workdir=runs/resnet56

With --help a command that has this config prints what is published for the pair, best
first, and whether weights were tuned per pair. A run's table has the number beside its
own, unless something of the recipe or the teacher's network was changed. Networks have
their names here or RepDistiller's: ResNet50, MobileNetV2, ShuffleV1. Published teachers
come by `import`. +kd adds KD to a method on features, as in CRD+KD; the other rules are
ka_ps, ka_lsr, dtd_flsw, dtd_cwsm, dtd_la, lr_kl, ea_kd and standardise, such as
fitnets+dtd_la or dkd+standardise. AB, FSP and FT train in two stages. Last epoch, no
best one. Not measured here yet.
"""

from ml_collections import ConfigDict

from configs import recipes
from configs.cifar100 import common
from kdjax.experiment.comparable import put_published
from kdjax.reproduce import published, repdistiller, studies

LABELS_AFTER = ("ab", "fsp")  # whose second stage is cross entropy
OF_OTHER_SETTINGS = ("wkd_l",)  # published for CKA, and the config has cosines
PARAPHRASER = "ft_paraphraser"  # of FT's first stage


def get_config(arg=""):
    """arg: METHOD[+RULES],TEACHER,STUDENT; kd,resnet56,resnet20 by default."""
    method, rules, teacher, student = repdistiller.split_argument(arg)
    pair, initial = (teacher, student), {}
    section = repdistiller.method_section(method, rules, *pair)
    if method in LABELS_AFTER:
        if rules:
            raise ValueError(
                f"{method}+{rules}: {method} ends with cross entropy, which looks at "
                f"no teacher; expected {method} alone."
            )
        initial, section = {"initial": section, "parts": "weights"}, studies.CE
    elif method == "ft":
        first = repdistiller.method_section(PARAPHRASER, "", *pair)
        rate = repdistiller.paraphraser_rate(student)
        initial = {"initial": first, "parts": "connectors", "learning_rate": rate}
    config = common.repdistiller()
    config.model = ConfigDict({"name": student})
    config.method = ConfigDict(section)
    rate, config.total_epochs = repdistiller.training(method, *pair)
    config.schedule.learning_rate = rate
    name = f"{method}+{rules}" if rules else method
    number = published.top1(name, *pair)
    if number is not None and name not in OF_OTHER_SETTINGS:
        put_published(config, number, published.ROWS[name].source, teacher)
    return recipes.two_stages(config, **initial) if initial else config


def get_help(arg=""):
    """What is published for the pair."""
    _, _, teacher, student = repdistiller.split_argument(arg)
    return published.table(teacher, student)
