"""The sections of a report for which networks are run: what was learnt of the teacher.

What cannot be computed is left out, and one line on stderr says why.
"""

import pathlib
from collections.abc import Callable

import numpy as np

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment.networks import CHECKPOINTS
from kdjax.reporting.blocks import Section
from kdjax.reporting.evidence import (
    correlation,
    disagreement,
    distances,
    gains,
    projection,
)
from kdjax.reporting.evidence import rules as rule_sections
from kdjax.reporting.evidence.charts import names_of
from kdjax.runner import rules
from kdjax.runner.compared import class_indices, compare, load_test_split
from kdjax.runner.members import Member, name_members, one_of_each, read_runs
from kdjax.runner.outputs import Images
from kdjax.runner.workdir import read_config

MOST_IMAGES = 10_000  # that networks are run on


def evidence_sections(
    workdirs: list[pathlib.Path], *, classes: str = "", data_dir: str | None = None
) -> list[Section]:
    """The sections of these runs, those that there is something to say in.

    Each network is run once on at most 10,000 test images; its outputs are kept in
    WORKDIR/analysis. `classes` are the three of the projection, separated by commas; by
    default those that the teacher confuses most. `data_dir` is where the data sets are,
    if not where the runs had them.
    """
    runs = read_runs(_with_stages(workdirs), _left_out)
    members = one_of_each(name_members(runs), _left_out)
    if not members:
        return []
    sections = []
    try:
        split = load_test_split(runs[0], data_dir)
        images = Images(split, MOST_IMAGES, class_indices(split, classes), "test")
        compared = compare(members, images, _left_out, keep=True)
    except InputError as error:
        _left_out(str(error))
        return _sections_of_rules(members, data_dir)
    for make in (
        lambda: distances.logit_distances(compared),
        lambda: distances.feature_norms(compared),
        lambda: projection.projection(compared),
        lambda: correlation.correlation(compared),
        lambda: gains.gains(compared),
        lambda: disagreement.disagreement(compared, images.image_at),
    ):
        _add(sections, make)
    return sections + _sections_of_rules(members, data_dir)


def _sections_of_rules(
    members: dict[str, Member], data_dir: str | None
) -> list[Section]:
    sections, sets, changed, selected, names = [], {}, [], [], []
    for name, member in members.items():
        try:
            own = rules.rules_of(member)
            if own is None and not rules.has_selection(member):
                continue
            workdir = member.run.workdir
            if workdir not in sets:
                sets[workdir] = rules.training_set(member.run, data_dir)
            data = sets[workdir]
            names = names_of(data.split.class_names)
            if rules.has_selection(member):
                _add_selection(
                    selected, rules.selected_samples(name, member, data), data
                )
            if own is not None:
                images = Images(data.trained_on, MOST_IMAGES, (), "train")
                one = rules.changed_targets(name, member, own, images)
                changed.append((one, images.image_at))
        except InputError as error:
            _left_out(f"what the rules of {name} did: {error}")
    _add(sections, lambda: rule_sections.changed_targets(changed, names))
    _add(sections, lambda: rule_sections.selected_samples(selected, names))
    return sections


def _add_selection(
    selected: list, one: rule_sections.SelectedSamples, data: rules.TrainingSet
) -> None:
    """Students of one selection are named together."""
    for number, (other, image_at) in enumerate(selected):
        if other.label is one.label and np.array_equal(other.keep, one.keep):
            name = f"{other.student}, {one.student}"
            selected[number] = other._replace(student=name), image_at
            return
    selected.append((one, Images(data.split, None, ()).image_at))


def _add(sections: list[Section], make: Callable[[], Section | None]) -> None:
    try:
        section = make()
    except ValueError as error:  # of numbers that allow no density, say
        _left_out(str(error))
        return
    if section is not None:
        sections.append(section)


def _with_stages(workdirs: list[pathlib.Path]) -> list[pathlib.Path]:
    """A run of several stages is its stages with networks."""
    result = []
    for workdir in workdirs:
        config = {} if (workdir / CHECKPOINTS).is_dir() else read_config(workdir)
        stages = [workdir / name for name in (config or {}).get("order", ())]
        result += [one for one in stages if (one / CHECKPOINTS).is_dir()] or [workdir]
    return result


def _left_out(why: str) -> None:
    collectives.log(f"report: left out: {why}")
