"""Which lines of a report may be compared, and with which one."""

from kdjax.contracts import InputError, nearest
from kdjax.reporting.groups import Group
from kdjax.reporting.same_images import same_images
from kdjax.reporting.training_settings import (
    differences,
    optimizer_settings,
    sentence,
)


def why_not_comparable(one: Group, other: Group) -> str:
    """What else than the method `one` differs in from the other; "" for nothing."""
    if one.model != other.model:
        return "another network"
    if not same_images(one.images("test"), other.images("test")):
        return "other test images"
    own, others = one.images("train"), other.images("train")
    if not same_images(own, others):
        splits = [images.get("split") for images in (own, others)]
        is_split = own.get("name") == others.get("name") and splits[0] != splits[1]
        if is_split and all(splits):
            return f"data.train {splits[0]} instead of {splits[1]}"
        return "other training images"
    if words := differences(one.conditions, other.conditions):
        return sentence(words)
    if one.is_finished != other.is_finished:
        return "not finished" if other.is_finished else "finished already"
    if not one.by_seed("top1").keys() & other.by_seed("top1").keys():
        return "no seed in common"
    return ""


def other_optimizer(one: Group, other: Group) -> str:
    """In what the optimizers of two groups that may be compared differ; "" for none."""
    own, others = (
        optimizer_settings(group.members[0].run.config) for group in (one, other)
    )
    return sentence(differences(own, others))


def choose_baseline(groups: list[Group], name: str = "") -> Group | None:
    """The group that others are compared with: CE without a teacher, else KD.

    Of several the one that most others can be compared with, and then the one whose
    optimizer most of them have. Or the one of that name,
    or else of that method; InputError where none has it.
    """
    students = [group for group in groups if not group.is_teacher]

    def partners(one: Group) -> tuple[int, int]:
        own = [other for other in students if not why_not_comparable(one, other)]
        return len(own), sum(not other_optimizer(one, other) for other in own)

    if name:
        of_name = [group for group in groups if group.name == name]
        of_method = [group for group in groups if group.first.method == name]
        if not of_name + of_method:
            names = [group.name for group in groups]
            raise InputError(
                f"--baseline is {name!r}; expected one of {' · '.join(names)}."
                + nearest(name, names)
            )
        return of_name[0] if of_name else max(of_method, key=partners)

    def rank(group: Group) -> tuple:
        method, count = group.first.method, partners(group)
        return count[0] > 1, method == "ce", method == "kd", count

    return max(students, key=rank, default=None)
