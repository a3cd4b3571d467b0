"""Runs of several parts: who is trained first, what is selected, who learns from whom.

Each function takes a config of one training and returns it with `stages` and `order`.
"stage:NAME" stands for the workdir of a part.
"""

from ml_collections import ConfigDict

SYMMETRIC = {"name": "symmetric", "rate": 0.4, "seed": 888}


def with_stages(config: ConfigDict, stages: dict[str, dict]) -> ConfigDict:
    """The config with these parts, in this order."""
    config.stages = ConfigDict(stages)
    config.order = tuple(stages)
    return config


def tickets(config: ConfigDict, detector: str, proxies: int = 1, fresh: bool = True):
    """Proxy, selection, retraining (Kim et al. 2021): one command for all three.

    Args:
      config: of the retraining; its method trains the proxies too.
      detector: clk, same or fine.
      proxies: 1 to 3, which differ in their seeds; what all of them keep is kept.
      fresh: retrain from new weights, or go on from the first proxy.
    """
    names = ["proxy", "second_proxy", "third_proxy"][:proxies]
    stages = {name: {"seed": config.seed + i} for i, name in enumerate(names)}
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
    stages = {"generation0": {"method": {"name": "ce"}}}
    for number in range(1, generations + 1):
        stages[f"generation{number}"] = {
            "method": method,
            "seed": config.seed + number,
            "teacher": {"workdir": f"stage:generation{number - 1}"},
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
        name: {"model": model, "method": {"name": "ce"}, "seed": config.seed + i}
        for i, (name, model) in enumerate(teachers.items())
    }
    stages["students"] = {
        "teacher": {"workdir": ",".join(f"stage:{name}" for name in teachers)},
        "students": {name: {"method": method} for name, method in methods.items()},
    }
    return with_stages(config, stages)


def noisy_teacher(
    config: ConfigDict, teacher: dict, methods: dict[str, dict], changes: dict
) -> ConfigDict:
    """A teacher that is wrong about its images, then students on those images.

    Args:
      config: of the students; alpha is 1, so they see no label.
      teacher: its model.
      methods: name of the student -> method.
      changes: what makes the teacher bad: noise on its labels, or an early stop.
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


def data_selection(
    config: ConfigDict, methods: dict[str, dict], selections: dict[str, dict]
) -> ConfigDict:
    """A reference student trained on labels, then students that hear the teacher on
    the samples that the reference's influence scores, or chance, selected.

    Args:
      config: of the students; its teacher is trained beforehand.
      methods: name of the student -> method.
      selections: name of the student -> selection; without one: all samples.
    """
    students = {
        name: {"method": method}
        | ({"selection": selections[name]} if name in selections else {})
        for name, method in methods.items()
    }
    return with_stages(
        config,
        {
            "reference": {"method": {"name": "ce"}, "teacher": {"workdir": ""}},
            "students": {"students": students},
        },
    )
