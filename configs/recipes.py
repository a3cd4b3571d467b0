"""Runs of several stages, for config files: which network is trained on what, and when.

Each function takes a config of one training and returns it with `stages` and `order`.
"stage:NAME" stands for the workdir of a stage. Seeds of stages are counted from the
config's own, also where --config.seed sets it afterwards.
"""

import re

from ml_collections import ConfigDict

SYMMETRIC = {"name": "symmetric", "rate": 0.4, "seed": 888}
PROXIES = ("proxy", "second_proxy", "third_proxy")
TICKETS = re.compile(r"(clk|same|fine)(?:-([1-3]))?(-continued)?")


def with_stages(config: ConfigDict, stages: dict[str, dict]) -> ConfigDict:
    """The config with these stages, in this order."""
    config.stages = ConfigDict(stages)
    config.order = tuple(stages)
    return config


def _seed(config: ConfigDict, number: int) -> dict:
    """The seed of a stage: `number` above the config's, also if that is set later."""
    return {"seed": config.get_ref("seed") + number} if number else {}


def _students(methods: dict[str, dict]) -> dict:
    return {name: {"method": method} for name, method in methods.items()}


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
    fresh = continued is None
    return {"detector": detector, "proxies": int(proxies or 1), "fresh": fresh}


def tickets(
    config: ConfigDict, detector: str, proxies: int = 1, fresh: bool = True
) -> ConfigDict:
    """Proxy, selection, retraining (Kim et al. 2021): one command for all three.

    Args:
      config: of the retraining; its method trains the proxies too.
      detector: clk, same or fine.
      proxies: 1 to 3, which differ in their seeds; a sample must be clean by all.
      fresh: retrain from new weights, or go on from the first proxy.
    """
    if proxies not in range(1, len(PROXIES) + 1):
        raise ValueError(f"tickets: {proxies!r} proxies; expected 1 to {len(PROXIES)}.")
    names = PROXIES[:proxies]
    stages = {name: _seed(config, i) for i, name in enumerate(names)}
    stages["select"] = {"select": _detector(detector, names)}
    stages["retrain"] = {"data": {"keep": "stage:select"}}
    if not fresh:
        stages["retrain"]["initial"] = {"workdir": "stage:proxy"}
    return with_stages(config, stages)


def _detector(name: str, proxies: tuple[str, ...]) -> dict:
    workdirs = ",".join(f"stage:{proxy}" for proxy in proxies)
    return {"name": "detector", "detector": name, "proxies": workdirs}


def compare_detectors(config: ConfigDict) -> ConfigDict:
    """One proxy, every detector and both controls, a retraining on each selection."""
    selectors = {name: _detector(name, ("proxy",)) for name in ("clk", "same", "fine")}
    selectors["oracle"] = {"name": "oracle"}
    selectors["random"] = {"name": "random", "as_many_as": "stage:select_oracle"}
    stages = {"proxy": {}}
    stages |= {f"select_{name}": {"select": one} for name, one in selectors.items()}
    stages |= {name: {"data": {"keep": f"stage:select_{name}"}} for name in selectors}
    return with_stages(config, stages)


def chain(config: ConfigDict, models: dict[str, dict], links: list[dict]) -> ConfigDict:
    """Network after network, each the next one's teacher (Kim et al. 2021, H).

    Args:
      config: what all links have in common.
      models: name of the stage -> model, from the largest to the smallest.
      links: as many methods; the first trains on labels.
    """
    if len(links) != len(models):
        raise ValueError(
            f"chain: {len(links)} losses for the {len(models)} networks "
            f"{', '.join(models)}; expected one each."
        )
    stages, teacher = {}, {}
    for (name, model), method in zip(models.items(), links, strict=True):
        stages[name] = {"model": model, "method": method} | teacher
        teacher = {"teacher": {"workdir": f"stage:{name}"}}
    return with_stages(config, stages)


def born_again(config: ConfigDict, generations: int, method: dict) -> ConfigDict:
    """One architecture, each generation the teacher of the next one.

    Each has other initial weights and another order of samples.
    """
    if generations < 1:
        raise ValueError(f"born_again: {generations} generations; expected 1 or more.")
    stages = {"generation0": {"method": {"name": "ce"}}}
    for number in range(1, generations + 1):
        teacher = {"teacher": {"workdir": f"stage:generation{number - 1}"}}
        stages[f"generation{number}"] = (
            {"method": method} | teacher | _seed(config, number)
        )
    return with_stages(config, stages)


def ensemble(
    config: ConfigDict, teachers: dict[str, dict], methods: dict[str, dict]
) -> ConfigDict:
    """Several teachers, then students that combine them in different ways.

    Args:
      config: of the students.
      teachers: name of the stage -> model.
      methods: name of the student -> method.
    """
    stages = {
        name: {"model": model, "method": {"name": "ce"}, **_seed(config, i)}
        for i, (name, model) in enumerate(teachers.items())
    }
    workdirs = ",".join(f"stage:{name}" for name in teachers)
    students = {"teacher": {"workdir": workdirs}, "students": _students(methods)}
    return with_stages(config, stages | {"students": students})


def spoilt(word: str) -> dict:
    """What makes the teacher of `noisy_teacher` bad: "labels" or "underfitted".

    Raises:
      ValueError: another word.
    """
    underfitted = {"stop_at_train_top1": 53.8, "evaluation": {"every_epochs": 0.1}}
    changes = {"labels": {"data": {"noise": SYMMETRIC}}, "underfitted": underfitted}
    if word not in changes:
        raise ValueError(
            f"noisy_teacher: {word!r} spoils none; expected {' or '.join(changes)}."
        )
    return changes[word]


def noisy_teacher(
    config: ConfigDict, teacher: dict, methods: dict[str, dict], changes: dict
) -> ConfigDict:
    """A teacher that is wrong about its images, then students on those images.

    Args:
      config: of the students; alpha is 1, so that no label is read.
      teacher: its model.
      methods: name of the student -> method.
      changes: what makes the teacher bad, such as `spoilt` gives.
    """
    stages = {"teacher": {"model": teacher, "method": {"name": "ce"}} | changes}
    teacher = {"workdir": "stage:teacher"}
    stages["students"] = {"teacher": teacher, "students": _students(methods)}
    return with_stages(config, stages)


def two_stages(
    config: ConfigDict,
    initial: dict,
    initial_epochs: float = 30.0,
    learning_rate: float = 0.0,
    parts: str = "all",
) -> ConfigDict:
    """An initial stage by a method of its own, then the training that begins with it.

    RepDistiller's public code trains AB, FSP and FT so: 30 epochs at the learning rate
    that the training begins with (FT: .01), then the whole training, its optimizer and
    schedule anew.

    Args:
      config: of the training that follows; both stages have its teacher.
      initial: the method of the first stage.
      initial_epochs: of the first stage.
      learning_rate: of the first stage, constant; 0: that of the config's schedule.
      parts: what is taken over: weights of the student, connectors of the method, all.
    """
    if not initial_epochs > 0:
        raise ValueError(f"two_stages: {initial_epochs} epochs; expected above 0.")
    rate = learning_rate or config.schedule.get_ref("learning_rate")
    first = {
        "method": initial,
        "students": {},
        "selection": {"name": "all"},
        "schedule": {"name": "constant", "learning_rate": rate},
        "total_epochs": initial_epochs,
        "total_steps": 0,
        "stop_at_train_top1": 0.0,
    }
    second = {"initial": {"workdir": "stage:initial", "parts": parts}}
    return with_stages(config, {"initial": first, "student": second})


def data_selection(config: ConfigDict, reference: str = "") -> ConfigDict:
    """A reference by labels, whose influence scores select samples for the teacher.

    Lan et al. 2024, whose estimator and ratio of influence could not be read. The
    reference does not train on the images that stand for unseen ones in the scores: on
    what a network has fitted their gradient is noise.

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
    labels = {"method": {"name": "ce"}, "selection": {"name": "all"}}
    labels["teacher"] = {"workdir": "", "network": ""}
    selects = labels | {"select": {"name": "without_validation"}}
    labels |= {"data": {"keep": "stage:select_training"}}
    stages = {"select_training": selects, "reference": labels, "student": {}}
    return with_stages(config, stages)
