"""Which lines of a report may be compared, and with which one."""

from kdjax.contracts import InputError, nearest
from kdjax.reporting.groups import Group
from kdjax.reporting.same_images import same_images
from kdjax.reporting.training_settings import differences


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
        return ", ".join(words[:2]) + ", ..." * (len(words) > 2)
    if one.is_finished != other.is_finished:
        return "not finished" if other.is_finished else "finished already"
    if not one.by_seed("top1").keys() & other.by_seed("top1").keys():
        return "no seed in common"
    return ""


def choose_baseline(groups: list[Group], name: str = "") -> Group | None:
    """The group that others are compared with: CE without a teacher, else KD.

    Of several the one that most others can be compared with. Or the one of that name,
    or else of that method; InputError where none has it.
    """
    students = [group for group in groups if not group.is_teacher]

    def partners(one: Group) -> int:
        return sum(not why_not_comparable(one, other) for other in students)

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
        return count > 1, method == "ce", method == "kd", count

    return max(students, key=rank, default=None)
