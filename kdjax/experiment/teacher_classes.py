"""The classes of a teacher, where the run that it teaches has other names for them."""

from kdjax.contracts import InputError
from kdjax.distributed import collectives
from kdjax.experiment.teacher_inputs import are_numbers


def log_if_by_number(where: str, trained_on: dict, data: dict, section: dict) -> None:
    """Says that nothing but the number of a class tells which one it is."""
    theirs, ours = (d.get("class_names") for d in (trained_on, data))
    if section.get("classes") or not ours:
        return
    of_teacher = not theirs or are_numbers(theirs)
    if of_teacher or are_numbers(ours):
        nameless = "teacher" if of_teacher else "run"
        collectives.log(
            f"{where}: the teacher's classes are matched by number: those of the "
            f"{nameless} have no names. If their order differs, name the teacher's in "
            "config.teacher.classes."
        )


def names_to_order(
    where: str, trained_on: dict, data: dict, section: dict
) -> list[str] | None:
    """A trained teacher's classes where the run has them in another order, else None.

    Sets without names number their classes; the order is then taken to be the same.
    """
    theirs, ours = (d.get("class_names") for d in (trained_on, data))
    if section.get("classes") or not theirs or not ours:
        return None
    if len(theirs) != len(ours) or are_numbers(theirs) or are_numbers(ours):
        return None
    if sorted(theirs) == sorted(ours):
        return theirs
    theirs_alone, ours_alone = (
        ", ".join(map(repr, [name for name in one if name not in other][:5]))
        for one, other in ((theirs, ours), (ours, theirs))
    )
    raise InputError(
        f"{where}: the teacher's classes {theirs_alone} are none of the run's, which "
        f"has {ours_alone}; expected the same. If they only have other names, write "
        "the run's, in the order of the teacher's classes, one a line, into a file for "
        "config.teacher.classes."
    )
