"""What each study trains: runs in their order, as plain configs.

Protocols and methods are those of configs/; a test compares them with the config files.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from kdjax.data.registry import AUGMENTS
from kdjax.reproduce import protocols, studies

EVALUATE_EVERY = 10.0  # epochs; the last one counts, the others show how it goes
TEACHER_SEED = 0  # one teacher for all students, as in the papers
FLOAT32 = "float32"


class Pair(NamedTuple):
    """Who teaches whom; names of networks."""

    teacher: str
    student: str


@dataclasses.dataclass(frozen=True)
class Study:
    """One table of one paper.

    Attributes:
      protocol: gives a config without data, network and method.
      pairs: whose students are trained one after the other.
      methods: of the students, which share a program.
      selecting: those of them that hear their teacher where it helps a reference: the
        student by cross entropy, which is trained before them.
      networks: name -> config.model, where that is more than the name.
    """

    protocol: Callable[[], dict]
    pairs: tuple[Pair, ...]
    methods: Mapping[str, dict]
    selecting: tuple[str, ...] = ()
    networks: Mapping[str, dict] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is chosen at the start of a study.

    Attributes:
      data: name of a TFDS set, or of an .npz file.
      data_dir: where it lies; "" for the usual place.
      seeds: of the students.
      dtype: of the networks' activations.
      total_steps: above 0 for a rehearsal, which is not the protocol any more.
    """

    data: str = "cifar100"
    data_dir: str = ""
    seeds: tuple[int, ...] = (0,)
    dtype: str = FLOAT32
    total_steps: int = 0


class Part(NamedTuple):
    """One run: its directory below the study's, its config, and whom it belongs to."""

    name: str
    config: dict
    pair: Pair


STUDIES = {
    "cifar100": Study(
        protocol=protocols.kl_versus_mse,
        pairs=(Pair("wrn_28_4", "wrn_16_2"),),
        methods=studies.temperatures(),
    ),
    "repdistiller": Study(
        protocol=protocols.repdistiller,
        pairs=(Pair("resnet56", "resnet20"), Pair("wrn_40_2", "wrn_16_2")),
        methods=studies.repdistiller(),
        selecting=("lr_ds",),
    ),
}


def parts_of(study: Study, settings: Settings, root: pathlib.Path) -> list[Part]:
    """All runs of a study, each after those that it needs.

    Args:
      study: from `STUDIES`.
      settings: for all of its runs.
      root: absolute; the directory of the study.
    """
    found = []
    for pair in study.pairs:
        config = _base(study, settings, pair.teacher, TEACHER_SEED)
        config["method"] = studies.CE
        found.append(Part(pair.teacher, config, pair))
        for seed in settings.seeds:
            reference = ""
            if study.selecting:
                config = _base(study, settings, pair.student, seed)
                config["method"] = studies.CE
                reference = f"{pair.student}-by-labels-seed{seed}"
                found.append(Part(reference, config, pair))
            config = _base(study, settings, pair.student, seed)
            config["teacher"]["workdir"] = str(root / pair.teacher)
            config["students"] = _students(study, str(root / reference))
            name = f"{pair.student}-of-{pair.teacher}-seed{seed}"
            found.append(Part(name, config, pair))
    return found


def _base(study: Study, settings: Settings, network: str, seed: int) -> dict:
    """The protocol on the study's data, with a network and without a method."""
    config, known = study.protocol(), AUGMENTS["cifar100"]
    data = config["data"]
    data |= {"name": settings.data, "data_dir": settings.data_dir}
    # In full: what is usual for a set is not known of a file.
    data |= {"padding": known.padding, "flip": known.flip}
    data |= {"mean": data["mean"] or known.mean, "std": data["std"] or known.std}
    config["model"] = dict(study.networks.get(network, {"name": network}))
    if settings.dtype != FLOAT32:
        config["model"]["dtype"] = settings.dtype
    config["seed"] = seed
    config["total_steps"] = settings.total_steps
    config["evaluation"]["every_epochs"] = EVALUATE_EVERY
    config["tensorboard"] = False  # metrics.jsonl says it all, and needs no package
    return config


def _students(study: Study, reference: str) -> dict[str, dict]:
    """Method and selection of every student."""
    students = {name: {"method": method} for name, method in study.methods.items()}
    for name in study.selecting:
        students[name]["selection"] = studies.selections(reference)[name]
    return students
