"""Runs of several parts: who is trained first, what is selected, who learns from whom.

Each function takes a config of one training and returns it with `stages` and `order`.
"stage:NAME" stands for the workdir of a part. Seeds of parts are counted from the
config's own, also where --config.seed sets it afterwards.
"""

import re

from ml_collections import ConfigDict

SYMMETRIC = {"name": "symmetric", "rate": 0.4, "seed": 888}
PROXIES = ("proxy", "second_proxy", "third_proxy")
TICKETS = re.compile(r"(clk|same|fine)(?:-([1-3]))?(-continued)?")


def with_stages(config: ConfigDict, stages: dict[str, dict]) -> ConfigDict:
    """The config with these parts, in this order."""
    config.stages = ConfigDict(stages)
    config.order = tuple(stages)
    return config


def _seed(config: ConfigDict, number: int) -> dict:
    """The seed of a part: `number` above the config's, whatever that comes to be."""
    return {"seed": config.get_ref("seed") + number} if number else {}


def tickets_arguments(words: str) -> dict:
    """The arguments of `tickets` from DETECTOR[-PROXIES][-continued]; "" is "fine".

    Raises:
      ValueError: words of another form.
    """
    match = TICKETS.fullmatch(words or "fine")
    if not match:
        raise ValueError(
            f"tickets: {words!r} is not DETECTOR[-PROXIES][-continued]; expected clk, "
            "same or fine, then the number of proxies, 1 to 3, then whether the "
            "retraining goes on from the first one: fine, same-3, same-3-continued."
        )
    detector, proxies, continued = match.groups()
    return {
        "detector": detector,
        "proxies": int(proxies or 1),
        "fresh": continued is None,
    }


def tickets(
    config: ConfigDict, detector: str, proxies: int = 1, fresh: bool = True
) -> ConfigDict:
    """Proxy, selection, retraining (Kim et al. 2021): one command for all three.

    Args:
      config: of the retraining; its method trains the proxies too.
      detector: clk, same or fine.
      proxies: 1 to 3, which differ in their seeds; what all of them keep is kept.
      fresh: retrain from new weights, or go on from the first proxy.
    """
    if proxies not in range(1, len(PROXIES) + 1):
        raise ValueError(f"tickets: {proxies!r} proxies; expected 1 to {len(PROXIES)}.")
    names = PROXIES[:proxies]
    stages = {name: _seed(config, i) for i, name in enumerate(names)}
    where = ",".join(f"stage:{name}" for name in names)
    chosen = {"name": "detector", "detector": detector, "proxies": where}
    stages["select"] = {"select": chosen}
    stages["retrain"] = {"data": {"keep": "stage:select"}}
    if not fresh:
        stages["retrain"]["initial"] = {"workdir": "stage:proxy"}
    return with_stages(config, stages)


def compare_detectors(config: ConfigDict) -> ConfigDict:
    """One proxy, every detector and both controls, a retraining on each selection."""
    stages = {"proxy": {}}
    for name in ("clk", "same", "fine"):
        stages[f"select_{name}"] = {
            "select": {"name": "detector", "detector": name, "proxies": "stage:proxy"}
        }
    stages["select_oracle"] = {"select": {"name": "oracle"}}
    stages["select_random"] = {
        "select": {"name": "random", "as_many_as": "stage:select_oracle"}
    }
    for name in ("clk", "same", "fine", "oracle", "random"):
        stages[name] = {"data": {"keep": f"stage:select_{name}"}}
    return with_stages(config, stages)


def chain(config: ConfigDict, models: dict[str, dict], links: list[dict]) -> ConfigDict:
    """Network after network, each taught by the one before (Kim et al. 2021, H).

    Args:
      config: what all links have in common.
      models: name of the part -> model, from the largest to the smallest.
      links: as many methods; the first trains on labels.
    """
    if len(links) != len(models):
        raise ValueError(
            f"chain: {len(links)} losses for the {len(models)} networks "
            f"{', '.join(models)}; expected one each."
        )
    stages, before = {}, ""
    for (name, model), method in zip(models.items(), links, strict=True):
        stages[name] = {"model": model, "method": method}
        if before:
            stages[name]["teacher"] = {"workdir": f"stage:{before}"}
        before = name
    return with_stages(config, stages)


def born_again(config: ConfigDict, generations: int, method: dict) -> ConfigDict:
    """One architecture, each generation taught by the one before it.

    Each has other initial weights and another order of samples.
    """
    if generations < 1:
        raise ValueError(f"born_again: {generations} generations; expected 1 or more.")
    stages = {"generation0": {"method": {"name": "ce"}}}
    for number in range(1, generations + 1):
        before = f"stage:generation{number - 1}"
        stages[f"generation{number}"] = {
            "method": method,
            "teacher": {"workdir": before},
            **_seed(config, number),
        }
    return with_stages(config, stages)


def ensemble(
    config: ConfigDict, teachers: dict[str, dict], methods: dict[str, dict]
) -> ConfigDict:
    """Several teachers, then students that combine them in different ways.

    Args:
      config: of the students.
      teachers: name of the part -> model.
      methods: name of the student -> method.
    """
    stages = {
        name: {"model": model, "method": {"name": "ce"}, **_seed(config, i)}
        for i, (name, model) in enumerate(teachers.items())
    }
    stages["students"] = {
        "teacher": {"workdir": ",".join(f"stage:{name}" for name in teachers)},
        "students": {name: {"method": method} for name, method in methods.items()},
    }
    return with_stages(config, stages)


def spoilt(word: str) -> dict:
    """What makes the teacher of `noisy_teacher` bad: "labels" or "underfitted".

    Raises:
      ValueError: another word.
    """
    changes = {
        "labels": {"data": {"noise": SYMMETRIC}},
        "underfitted": {
            "stop_at_train_top1": 53.8,
            "evaluation": {"every_epochs": 0.1},
        },
    }
    if word not in changes:
        known = " or ".join(changes)
        raise ValueError(f"noisy_teacher: {word!r} spoils none; expected {known}.")
    return changes[word]


def noisy_teacher(
    config: ConfigDict, teacher: dict, methods: dict[str, dict], changes: dict
) -> ConfigDict:
    """A teacher that is wrong about its images, then students on those images.

    Args:
      config: of the students; alpha is 1, so they see no label.
      teacher: its model.
      methods: name of the student -> method.
      changes: what makes the teacher bad, such as `spoilt` gives.
    """
    students = {name: {"method": method} for name, method in methods.items()}
    return with_stages(
        config,
        {
            "teacher": {"model": teacher, "method": {"name": "ce"}} | changes,
            "students": {
                "teacher": {"workdir": "stage:teacher"},
                "students": students,
            },
        },
    )


def data_selection(config: ConfigDict, reference: str = "") -> ConfigDict:
    """A reference by labels; the student's teacher is heard where its scores say so.

    Lan et al. 2024, whose estimator and ratio of influence are not known.

    Args:
      config: of the student; its teacher is trained beforehand.
      reference: workdir of a finished one; "" trains the student's own network first.
    """
    config.selection = ConfigDict(
        {
            "name": "influence",
            "reference": reference or "stage:reference",
            "estimator": "teacher_influence",
            "keep_ratio": 0.8,
            "class_balanced": False,
        }
    )
    if reference:
        return config
    alone = {
        "method": {"name": "ce"},
        "selection": {"name": "all"},
        "teacher": {"workdir": "", "network": ""},
    }
    return with_stages(config, {"reference": alone, "student": {}})
