"""CIFAR-100 in hours of two cores: ResNet-20 teaches ResNet-8, 60 and 10 epochs.

The claims of the four papers and methods of the field, on the whole of CIFAR-100, far
from any paper's protocol: a small pair and few epochs. Units of two to four students
share a program; they come in the order of their worth, each with every seed.
"""

import pathlib
from typing import NamedTuple

from kdjax.experiment.stages import split_stages
from kdjax.reproduce import repdistiller, studies
from kdjax.reproduce.plans import TEACHER_SEED, Pair, Run, Settings, put_data

NAME = "cifar100-small"
TEACHER, STUDENT = "resnet20", "resnet8"
EPOCHS = {TEACHER: 60.0, STUDENT: 10.0}
EVALUATE_EVERY = 2.0  # epochs
TAU, SPREAD = 4.0, 4.0
NOISE = {"name": "symmetric", "rate": 0.4, "seed": 888}
NOISY_TEACHER = f"{TEACHER}-noise40"
REFERENCE = "reference"  # learns labels; its influence scores select samples
DETECTED = "detectors"  # a proxy, what each detector keeps, a retraining on each
DETECTORS = ("clk", "same", "fine")


class Unit(NamedTuple):
    """Students that share a program, for each seed."""

    students: dict[str, dict]  # name -> config of a student
    is_noisy: bool = False  # under label noise, by a teacher of those labels


def units() -> dict[str, Unit]:
    """Name -> its students, in the order in which they are trained.

    >>> [len(unit.students) for unit in units().values()]
    [3, 4, 4, 4, 4, 4, 4, 4, 2]
    """
    adjusted = studies.adjustments(TAU, SPREAD)
    revised = studies.revisions(TAU)
    taus = studies.temperatures()
    # Each with the denominator that is not its default.
    denominators = {"lr_mse_batch": revised["lr_mse"] | {"denominator": "batch"}} | {
        f"{name}_sets": revised[name] | {"denominator": "sets"}
        for name in ("ds", "ds_random", "lr_ds")
    }
    noise = {"kd_tau05": studies.kd(0.5, fix=True), "kd_tau20": studies.kd(20.0)}
    flsw = {"gamma": 1.0, "name": "dtd_la"}
    noise["dtd_la_small"] = flsw | {"base": 1.0, "spread": 1.0}
    noise["dtd_la"] = adjusted["dtd_la"]
    field = {
        name: repdistiller.method_section(name, "", TEACHER, STUDENT)
        for name in ("dkd", "dist", "lskd", "wttm", "reviewkd", "crd")
    }
    for name in ("dkd", "reviewkd"):
        field[name] |= {"warmup_epochs": 1.0}  # theirs are 20 of 240

    def unit(methods: dict[str, dict], *names: str, is_noisy: bool = False) -> Unit:
        return Unit({n: {"method": methods[n]} for n in names or methods}, is_noisy)

    return {
        "labels": unit(adjusted | taus, "ce", "kd", "mse"),
        "temperatures": unit(taus, "kd_tau1", "kd_tau3", "kd_tau5", "kd_tau20"),
        "revisions": unit(revised | taus, "kd_inf", "kd_labels", "lr_mse", "lr_kl"),
        "adjustments": unit(adjusted, "ka_ps", "ka_lsr", "dtd_flsw", "dtd_cwsm"),
        "selections": unit(revised | adjusted, "dtd_la", "ds", "ds_random", "lr_ds"),
        "denominators": unit(denominators),
        "noise": unit(noise, is_noisy=True),
        "field": unit(field, "dkd", "dist", "lskd", "wttm"),
        "features": unit(field, "reviewkd", "crd"),
    }


def protocol(network: str, is_noisy: bool = False) -> dict:
    """A config without method or data: cosine with warm-up, batches of 128."""
    config = studies.repdistiller_protocol()
    config["optimizer"] |= {"nesterov": True, "decay_norm_and_bias": False}
    config["schedule"] = {"name": "cosine", "learning_rate": 0.1, "warmup_epochs": 1.0}
    config |= {"batch_size": 128, "total_epochs": EPOCHS[network]}
    config["model"] = {"name": network}
    config["evaluation"]["every_epochs"] = EVALUATE_EVERY
    if is_noisy:
        config["data"]["noise"] = dict(NOISE)
    return config


def plan(settings: Settings, root: pathlib.Path) -> list[Run]:
    """All runs below an absolute `root`: the teacher, then unit by unit, each seed."""
    pair, runs, planned = Pair(TEACHER, STUDENT), [], set()

    def add(name: str, config: dict, seed: int) -> None:
        put_data(config, settings)
        config |= {"seed": seed, "total_steps": settings.total_steps}
        if settings.total_steps:  # may be less than the epoch of warm-up
            config["schedule"] = config["schedule"] | {"warmup_epochs": 0.0}
        runs.append(Run(name, config, pair))

    def add_teacher(is_noisy: bool) -> str:
        name = NOISY_TEACHER if is_noisy else TEACHER
        if name not in planned:
            method = {"method": {"name": "ce", "label_smoothing": 0.0}}
            add(name, protocol(TEACHER, is_noisy) | method, TEACHER_SEED)
            planned.add(name)
        return name

    def add_stages(unit: str, stages: dict, seed: int) -> None:
        name = run_name(unit, seed)
        if name not in planned:
            for stage, config in split_stages(stages, root / name).items():
                add(f"{name}/{stage}", config, seed)
            planned.add(name)

    for name, unit in units().items():
        teacher = add_teacher(unit.is_noisy)
        for seed in settings.seeds:
            students = _selecting(unit.students, root, seed)
            selections = [s["selection"] for s in students.values() if "selection" in s]
            if any(one["name"] == "influence" for one in selections):
                add_stages(REFERENCE, _reference(), seed)
            config = protocol(STUDENT, unit.is_noisy)
            config["teacher"]["workdir"] = str(root / teacher)
            config["students"] = students
            add(run_name(name, seed), config, seed)
    for seed in settings.seeds:
        add_stages(DETECTED, _detected(), seed)
    return runs


def run_name(unit: str, seed: int) -> str:
    return f"{unit}-seed{seed}"


def _selecting(students: dict[str, dict], root: pathlib.Path, seed: int) -> dict:
    """The students, those of data selection by the reference of their seed."""
    reference = root / run_name(REFERENCE, seed) / "trained"
    selections, result = studies.selections(str(reference)), {}
    for name, student in students.items():
        selection = selections.get(name.removesuffix("_sets"))
        result[name] = student | ({"selection": selection} if selection else {})
    return result


def _reference() -> dict:
    """In stages: a network trained on all images but those that influence stands on."""
    stages = {"select_training": {"select": {"name": "without_validation"}}}
    stages["trained"] = {"data": {"keep": "stage:select_training"}}
    return _staged(protocol(STUDENT), stages)


def _detected() -> dict:
    """In stages: a proxy on noisy labels, detectors, a network on each choice."""
    stages = {"proxy": {}}
    for name in DETECTORS:
        select = {"name": "detector", "detector": name, "proxies": "stage:proxy"}
        stages[f"select_{name}"] = {"select": select}
        stages[name] = {"data": {"keep": f"stage:select_{name}"}}
    return _staged(protocol(STUDENT, True), stages)


def _staged(config: dict, stages: dict[str, dict]) -> dict:
    """The config of networks that learn labels, with these stages in this order."""
    return config | {
        "method": {"name": "ce"},
        "stages": stages,
        "order": tuple(stages),
    }
