"""The networks of several runs and their teachers, and their outputs side by side."""

import re
from collections.abc import Callable

from kdjax.analysis.outputs import Compared
from kdjax.contracts import InputError, nearest
from kdjax.data.split import Split
from kdjax.experiment.pretrained import Teacher, load_trained
from kdjax.experiment.teachers import load_teacher
from kdjax.reporting.same_images import same_images
from kdjax.reporting.training_settings import (
    conditions,
    differences,
    optimizer_settings,
    sentence,
)
from kdjax.runner.evaluate import teacher_section
from kdjax.runner.members import Member, Run
from kdjax.runner.outputs import DIRECTORY, Images, TrainedNetwork
from kdjax.runner.scored_images import run_split


def compare(
    members: dict[str, Member],
    images: Images,
    left_out: Callable[[str, object], None],
    keep: bool = False,
) -> Compared:
    """The outputs of these students and of their teachers on the images.

    `left_out` is called with what cannot be loaded, and why. `keep`: the outputs are
    written into the workdirs, for the next time.
    """
    networks, teacher_of, missing = {}, {}, set()
    wanted = {
        n: teacher_network(n, m.run, keep) for n, m in members.items() if m.run.teacher
    }
    digests = list(dict.fromkeys(one.identity["digest"] for one in wanted.values()))
    for name, teacher in wanted.items():
        number = digests.index(teacher.identity["digest"]) + 1
        called = f"teacher {number}" if len(digests) > 1 else "teacher"
        called = f"the {called}" if called in members else called
        try:
            if called not in networks and called not in missing:
                networks[called] = images.outputs(teacher._replace(name=called))
        except InputError as error:
            missing.add(called)
            left_out(f"the comparison with the {called}", error)
        if called in networks:
            teacher_of[name] = called
    for name, member in members.items():
        try:
            networks[name] = images.outputs(student_network(name, member, keep))
        except InputError as error:
            left_out(name, error)
    here = {name: m for name, m in members.items() if name in networks}
    baseline_of = baselines(here, left_out)
    return Compared(
        networks=networks,
        teacher_of={name: t for name, t in teacher_of.items() if name in here},
        baseline_of=baseline_of,
        other_optimizers={
            name: words
            for name, one in baseline_of.items()
            if (words := _other_optimizer(members[name], members[one]))
        },
        labels=images.split.label,
        class_names=images.split.class_names,
        three_classes=images.classes or (),
        total=images.total,
    )


def say_what_is_missing(
    compared: Compared, left_out: Callable[[str, object], None]
) -> None:
    """Why networks are not in the sections on features."""
    networks = compared.networks
    bare = [name for name, one in networks.items() if one.feature_norms is None]
    if bare:
        left_out(
            f"norms of the features and the three classes of {' · '.join(bare)}",
            "no feature 'pooled'. Name the layer before the last: "
            "from_linen(module, features={'pooled': PATH}).",
        )
    flat = [n for n, one in networks.items() if n not in bare and one.points is None]
    if flat and compared.three_classes:
        left_out(
            f"the three classes of {' · '.join(flat)}",
            "expected one matrix of weights of features by classes, the last layer; an "
            "ensemble has several.",
        )


def baselines(
    members: dict[str, Member], left_out: Callable[[str, object], None]
) -> dict[str, str]:
    """Student -> the same network on the same labels alone.

    Both were trained as long, from the same weights if any, and on as large batches of
    the same images; of several the one with the same optimizer and seed.
    """

    plain = [n for n, m in members.items() if m.section["method"]["name"] == "ce"]
    result = {}
    for name, member in members.items():
        same = [n for n in plain if _is_trained_alike(members[n], member)]
        others = {n: _other_optimizer(member, members[n]) for n in same}
        seed = member.section["seed"]
        same.sort(key=lambda n: (others[n] != "", members[n].section["seed"] != seed))
        if same and name not in plain:
            result[name] = same[0]
    alone = [n for n in members if n not in plain and n not in result]
    if plain and alone:
        left_out(
            f"gains and losses of {' · '.join(alone)}",
            "expected the same network, trained on labels alone on the same images, "
            "from the same weights, as long and with the same batch size; there is "
            "none here.",
        )
    return result


def _is_trained_alike(one: Member, other: Member) -> bool:
    """Whether they are one network, trained as long on the same images."""
    metas = [one.run.meta, other.run.meta]
    own, others = (
        conditions(m.run.meta.get("config") or {}, m.run.workdir) for m in (one, other)
    )
    is_one_model = one.section["model"] == other.section["model"]
    is_alike = is_one_model and not differences(own, others)
    return is_alike and same_images(*(meta["data"]["train"] for meta in metas))


def _other_optimizer(one: Member, other: Member) -> str:
    """In what the optimizers of two students differ; "" for none."""
    own, others = (
        optimizer_settings(member.run.meta.get("config") or {})
        for member in (one, other)
    )
    return sentence(differences(own, others))


def student_network(name: str, member: Member, keep: bool = False) -> TrainedNetwork:
    run, meta = member.run, member.run.meta
    section = {"workdir": str(run.workdir), "student": member.student}
    section["checkpoint"] = "latest"
    # The checksums are of all weights of the newest step.
    identity = {"name": member.student, "section": member.section}
    identity |= {key: meta.get(key) for key in ("step", "checksums")}
    keys = ("model", "networks", "reused_classifier")

    def load() -> Teacher:
        try:
            return load_trained("report", section, meta["data"])
        except InputError as error:
            error.args = (_of_run(run, str(error)),)
            raise

    return TrainedNetwork(
        name=name,
        identity=identity,
        architecture={key: member.section.get(key) for key in keys},
        data=meta["data"],
        load=load,
        file=run.workdir / DIRECTORY / f"student-{member.student}" if keep else None,
    )


def _of_run(run: Run, text: str) -> str:
    """A message with the run's directory instead of an option that `report` lacks."""
    match = re.match(r"report\.workdir: (?:.*?/meta: )?", text)
    return f"{run.workdir}: {text[match.end() :]}" if match else text


def teacher_network(name: str, run: Run, keep: bool = False) -> TrainedNetwork:
    identity, data = run.teacher, run.meta["data"]

    def load() -> Teacher:
        teacher = load_teacher(teacher_section(identity), data)
        if teacher.identity["digest"] != identity["digest"]:
            raise InputError(
                f"{identity.get('workdir', identity.get('network'))} is not the "
                f"teacher that {run.workdir} had: digest "
                f"{teacher.identity['digest'][:12]}, was {identity['digest'][:12]}."
            )
        return teacher

    file = run.workdir / DIRECTORY / "teacher" if keep else None
    return TrainedNetwork(name, identity, {"teacher": identity}, data, load, file)


def load_test_split(run: Run, data_dir: str | None) -> Split:
    """The run's test images; InputError where other images are there now."""
    test = run.meta["data"]["test"]
    split = run_split(run.workdir, test, data_dir=data_dir)
    if split.identity != test:
        raise InputError(
            f"these are other test images than those of {run.workdir}: "
            f"{split.identity} instead of {test}."
        )
    return split


def class_indices(split: Split, given: str) -> tuple[int, ...] | None:
    """The three classes that `--classes` names; None for none."""
    if not given:
        return None
    names = given.split(",")
    for name in names:
        if name not in split.class_names:
            raise InputError(
                f"--classes: {name!r} is not a class of {split.identity['name']}."
                + nearest(name, split.class_names)
            )
    if len(set(names)) != 3:
        raise InputError(f"--classes is {given!r}; expected three class names.")
    return tuple(sorted(split.class_names.index(name) for name in names))
