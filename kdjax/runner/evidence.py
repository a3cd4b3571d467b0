"""The sections of a report for which networks are run: what was learnt of the teacher.

What cannot be computed is left out; stderr and the page say what and why.
"""

from collections.abc import Callable

import numpy as np

from kdjax.contracts import InputError
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
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.runs import Run
from kdjax.runner import rules
from kdjax.runner.compared import (
    class_indices,
    compare,
    load_test_split,
    say_what_is_missing,
)
from kdjax.runner.left_out import LeftOut
from kdjax.runner.members import Member, one_of_each
from kdjax.runner.outputs import Images

MOST_IMAGES = 10_000  # that networks are run on
TITLE = "Networks of the sections below"


def evidence_sections(
    runs: list[Run], *, classes: str = "", data_dir: str | None = None
) -> list[Section]:
    """The sections of these runs, those that there is something to say in.

    Each network is run once on at most 10,000 test images; its outputs are kept in
    WORKDIR/analysis. `classes` are the three of the projection, separated by commas; by
    default those that the teacher confuses most. `data_dir` is where the data sets are,
    if not where the runs had them. The first section says which networks these are and
    what was left out, where that is not plain.
    """
    left_out = LeftOut()
    members, how = one_of_each(make_groups(runs), left_out)
    sections = _sections(members, classes, data_dir, left_out) if members else []
    notes = [*filter(None, [how]), *left_out.sentences()]
    return [Section(TITLE, notes), *sections] if notes else sections


def _sections(
    members: dict[str, Member],
    classes: str,
    data_dir: str | None,
    left_out: LeftOut,
) -> list[Section]:
    sections = []
    try:
        split = load_test_split(next(iter(members.values())).run, data_dir)
        images = Images(split, MOST_IMAGES, class_indices(split, classes), "test")
        compared = compare(members, images, left_out, keep=True)
        say_what_is_missing(compared, left_out)
    except InputError as error:
        left_out("all that needs test images", error)
        return _sections_of_rules(members, data_dir, left_out)
    for make in (
        lambda: distances.logit_distances(compared),
        lambda: distances.feature_norms(compared),
        lambda: projection.projection(compared),
        lambda: correlation.correlation(compared),
        lambda: gains.gains(compared),
        lambda: disagreement.disagreement(compared, images.image_at),
    ):
        _add(sections, make, left_out)
    return sections + _sections_of_rules(members, data_dir, left_out)


def _sections_of_rules(
    members: dict[str, Member], data_dir: str | None, left_out: LeftOut
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
            left_out(f"what the rules of {name} did", error)
    for make in (
        lambda: rule_sections.changed_targets(changed, names),
        lambda: rule_sections.selected_samples(selected, names),
    ):
        _add(sections, make, left_out)
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


def _add(
    sections: list[Section], make: Callable[[], Section | None], left_out: LeftOut
) -> None:
    try:
        section = make()
    except ValueError as error:  # of numbers that allow no density, say
        left_out("a section", error)
        return
    if section is not None:
        sections.append(section)
