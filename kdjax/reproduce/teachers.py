"""Rules for teachers that are wrong, beside plain KD, under three teachers.

Label revision, data selection, logits adjustment and dynamic temperatures on the
embedded images. A rule for wrong teachers can only help where the teacher is wrong
about training images, so there are a fitted teacher, an under-fitted one and one that
was trained under 40 % symmetric label noise. Students always have the true labels.
"""

import pathlib

from kdjax.experiment import schema
from kdjax.reproduce import estimates, studies
from kdjax.reproduce.plans import TEACHER_SEED, Pair, Run, Settings

NAME = "fashion_mnist-teachers"
DATA = "fashion_mnist_subset"
TAU, SPREAD = 4.0, 4.0
EPOCHS = 3.0  # of the students
REFERENCE = "labels"  # the unit whose student of cross entropy scores samples
# Seconds of a network's epoch on two cores: of the 42 records in
# configs/fashion_mnist/results 6242 s for 156 students of 3 epochs and 9 of teachers.
PACE = 6242 / (156 * EPOCHS + 9)
STUDENT, TEACHER = (4, 8, 16), (8, 16, 32)  # channels of a WRN-10
NOISE = {"name": "symmetric", "rate": 0.4, "seed": 888}
# Name -> epochs and label noise.
TEACHERS = {"noisy": (4.0, NOISE), "underfitted": (1.0, {}), "fitted": (4.0, {})}
# The students that share a program; each unit is a run of each teacher and seed.
UNITS = {
    "rules": ("kd", "lr_mse", "lr_kl", "ka_ps", "ka_lsr", "dtd_cwsm"),
    "controls": ("kd_labels", "kd_tau1", "ka_lsr_tau1", "lr_kl_wrong"),
    "selections": ("ds", "ds_random", "lr_ds"),
    "variants": ("dtd_flsw", "dtd_la", "dtd_wide", "lr_mse_strong"),
}
# In the order of their worth.
ORDER = (
    *((unit, "noisy") for unit in ("rules", "controls")),
    *((unit, "underfitted") for unit in ("rules", "controls")),
    *((u, t) for u in ("selections", "variants") for t in ("noisy", "underfitted")),
    *((unit, "fitted") for unit in UNITS),
)


def methods() -> dict[str, dict]:
    """Name of the student -> method.

    Squared errors divide by the batch, and their lambda1 is that of ten classes.
    Controls and variants ask why. At temperature 1 the squared temperature scales
    nothing. `lr_kl_wrong` revises wrong teachers only. `dtd_wide` has temperatures that
    differ ten times as much. In `lr_mse_strong` samples with a wrong teacher pull as
    hard as the others, and not a fiftieth.
    """
    adjusted = studies.adjustments(TAU, SPREAD)
    revised = studies.revisions(TAU, lambda1=0.4, denominator="batch")
    variants = {
        "dtd_wide": adjusted["dtd_flsw"] | {"spread": 10 * SPREAD},
        "ka_lsr_tau1": adjusted["ka_lsr"] | {"temperature": 1.0},
        "kd_tau1": studies.kd(1.0),
        "lr_kl_wrong": revised["lr_kl"] | {"only_wrong": True},
        "lr_mse_strong": revised["lr_mse"] | {"lambda2": 50.0},
    }
    return adjusted | revised | variants


def plan(settings: Settings, root: pathlib.Path) -> list[Run]:
    """All runs below an absolute `root`: the teachers, then unit by unit, each seed."""
    runs = []

    def add(name: str, teacher: str, config: dict, seed: int) -> None:
        if settings.total_steps:  # may be less than the warm-up
            config["schedule"]["warmup_epochs"] = 0.0
        config |= {"seed": seed, "total_steps": settings.total_steps}
        runs.append(Run(name, config, Pair(teacher, "student")))

    for name, (epochs, noise) in TEACHERS.items():
        config = protocol(TEACHER, epochs) | {"method": studies.CE}
        config["data"]["noise"] |= noise
        add(name, name, config, TEACHER_SEED)
    for unit, teacher in ORDER:
        for seed in settings.seeds:
            reference = run_name(REFERENCE, "", seed)
            if reference not in [run.name for run in runs]:
                config = protocol(STUDENT, EPOCHS) | {"method": studies.CE}
                add(reference, "", config, seed)
            config = protocol(STUDENT, EPOCHS)
            config["teacher"]["workdir"] = str(root / teacher)
            config["students"] = _students(unit, root / reference)
            add(run_name(unit, teacher, seed), teacher, config, seed)
    return runs


def expected(runs: list[Run], what: str) -> list[str]:
    """`what` the runs are, and an ESTIMATE of hours where they were measured."""
    if any(run.config["total_steps"] for run in runs):
        return [f"{what}; a rehearsal, whose time is not estimated"]
    epochs = sum(
        run.config["total_epochs"] * max(1, len(run.config["students"])) for run in runs
    )
    hours = estimates.time(epochs * PACE / 3600)
    where = f"{estimates.CORES} cores of an {estimates.PROCESSOR}"
    return [
        what,
        f"{where}: {hours}, ESTIMATE from {PACE:.0f} s of a network's epoch, as "
        "measured with compilation (configs/fashion_mnist/RESULTS.md)",
        "one H200, a v5e-8: not measured",
    ]


def run_name(unit: str, teacher: str, seed: int) -> str:
    return "-".join(filter(None, [unit, teacher, f"seed{seed}"]))


def protocol(channels: tuple[int, ...], epochs: float) -> dict:
    """A config without method, as that of configs/fashion_mnist/common.py."""
    config = schema.nested()
    config["data"]["name"] = DATA
    config["model"] = {"name": "wide_resnet", "depth": 10, "widths": channels}
    config["model"]["stem"] = 8
    config["schedule"] |= {"learning_rate": 0.1, "warmup_epochs": 0.5}
    config["evaluation"]["every_epochs"] = 0.0  # at the end
    config["tensorboard"] = False
    return config | {"batch_size": 64, "total_epochs": epochs, "log_every_steps": 40}


def _students(unit: str, reference: pathlib.Path) -> dict[str, dict]:
    """The students, those of data selection by the student of labels of their seed."""
    selections, all_methods = studies.selections(str(reference)), methods()
    return {
        name: {"method": all_methods[name]}
        | ({"selection": selections[name]} if name in selections else {})
        for name in UNITS[unit]
    }
