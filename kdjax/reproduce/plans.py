"""What each study trains: runs in their order, as plain configs, those of configs/."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from kdjax.data.registry import AUGMENTS
from kdjax.reproduce import studies

EVALUATE_EVERY = 10.0  # epochs; the last one counts, the others show how it goes
TEACHER_SEED = 0  # one teacher for all students, as in the papers
FLOAT32 = "float32"


class Pair(NamedTuple):
    """Names of a teacher's network and of its students'."""

    teacher: str
    student: str


@dataclasses.dataclass(frozen=True)
class Study:
    """One table of one paper."""

    protocol: Callable[[], dict]  # a config without data, network and method
    pairs: tuple[Pair, ...]  # whose students are trained one after the other
    methods: Mapping[str, dict]  # of the students, which share a program
    # Methods that distil only the samples which help a reference: the student by cross
    # entropy, which is trained before them.
    selecting: tuple[str, ...] = ()
    # Name -> config.model, where that is more than the name.
    networks: Mapping[str, dict] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The user's choices for a study."""

    data: str = "cifar100"  # a TFDS set, or an .npz file's name
    data_dir: str = ""  # where it lies; "" for the usual place
    seeds: tuple[int, ...] = (0,)  # of the students
    dtype: str = FLOAT32  # of the networks' activations
    total_steps: int = 0  # above 0 for a rehearsal, which is not the protocol any more


class Run(NamedTuple):
    """A training: its directory below the study's, its config, and its pair."""

    name: str
    config: dict
    pair: Pair


STUDIES = {
    "cifar100": Study(
        protocol=studies.kl_versus_mse_protocol,
        pairs=(Pair("wrn_28_4", "wrn_16_2"),),
        methods=studies.temperatures(),
    ),
    "repdistiller": Study(
        protocol=studies.repdistiller_protocol,
        pairs=(Pair("resnet56", "resnet20"), Pair("wrn_40_2", "wrn_16_2")),
        methods=studies.repdistiller(),
        selecting=("lr_ds",),
    ),
}


def plan(study: Study, settings: Settings, root: pathlib.Path) -> list[Run]:
    """All runs of a study below an absolute `root`, each after those that it needs."""
    runs = []
    for pair in study.pairs:
        config = _base(study, settings, pair.teacher, TEACHER_SEED)
        runs.append(Run(pair.teacher, config | {"method": studies.CE}, pair))
        for seed in settings.seeds:
            reference = f"{pair.student}-by-labels-seed{seed}"
            if study.selecting:
                config = _base(study, settings, pair.student, seed)
                runs.append(Run(reference, config | {"method": studies.CE}, pair))
            config = _base(study, settings, pair.student, seed)
            config["teacher"]["workdir"] = str(root / pair.teacher)
            students = {name: {"method": m} for name, m in study.methods.items()}
            selections = studies.selections(str(root / reference))
            for name in study.selecting:
                students[name]["selection"] = selections[name]
            config["students"] = students
            name = f"{pair.student}-of-{pair.teacher}-seed{seed}"
            runs.append(Run(name, config, pair))
    return runs


def describe(run: Run) -> str:
    """A line about a run: what it trains, and how long."""
    config = run.config
    if config["select"]:
        selector = config["select"].get("detector", config["select"]["name"])
        return f"{run.name}: selects samples, {selector}"
    methods = ", ".join(config["students"] or [config["method"]["name"]])
    steps = config["total_steps"]
    length = f"{steps} steps" if steps else f"{config['total_epochs']:g} epochs"
    return f"{run.name}: {config['model']['name']} by {methods}; {length}"


def _base(study: Study, settings: Settings, network: str, seed: int) -> dict:
    """The protocol on the study's data, with a network and without a method."""
    config = study.protocol()
    config["model"] = dict(study.networks.get(network, {"name": network}))
    config["evaluation"]["every_epochs"] = EVALUATE_EVERY
    put_data(config, settings)
    return config | {"seed": seed, "total_steps": settings.total_steps}


def put_data(config: dict, settings: Settings) -> None:
    """Sets data, type and what else a study writes; in place."""
    data, usual = config["data"], AUGMENTS["cifar100"]
    data |= {"name": settings.data, "data_dir": settings.data_dir}
    # In full: what is usual for a set is not known of a file.
    data |= {"padding": usual.padding, "flip": usual.flip}
    data |= {"mean": data["mean"] or usual.mean, "std": data["std"] or usual.std}
    if settings.dtype != FLOAT32:
        config["model"]["dtype"] = settings.dtype
    config["tensorboard"] = False  # metrics.jsonl says it all, and needs no package
