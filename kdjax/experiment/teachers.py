"""The teacher of a run: one network or several, trained here or from elsewhere."""

from kdjax import checkpoints
from kdjax.contracts import InputError
from kdjax.experiment import pretrained, teacher_inputs
from kdjax.experiment.pretrained import Teacher, load_trained


def load_teacher(section: dict, data: dict) -> Teacher | None:
    """Loads the teacher that a `teacher` section names, or None where it names none.

    Several workdirs, separated by commas, are an ensemble; of student and checkpoint
    there is one for all, or one each. `data` is `Data.identity` of the run.
    """
    if section["network"] and section["workdir"]:
        raise InputError(
            "config.teacher: both workdir and network are set; expected one of them."
        )
    if section["network"]:
        from kdjax.experiment.given_networks import foreign_teacher

        return foreign_teacher(section["network"], data, section)
    if not section["workdir"]:
        return None
    sections = _one_each(section)
    members = [load_trained("config.teacher", s, data, teaches=True) for s in sections]
    return members[0] if len(members) == 1 else _ensemble_of(members)


def _one_each(section: dict) -> list[dict]:
    """A section for every workdir; student and checkpoint come once or as often."""
    workdirs = [part.strip() for part in section["workdir"].split(",")]
    shared = {key: section[key] for key in teacher_inputs.INPUT_KEYS if key in section}
    sections = [{"workdir": workdir} | shared for workdir in workdirs]
    for key in ("student", "checkpoint"):
        values = [part.strip() for part in str(section[key]).split(",")]
        if len(values) == 1:
            values *= len(sections)
        if len(values) != len(sections):
            raise InputError(
                f"config.teacher.{key} names {len(values)}, and workdir names "
                f"{len(sections)} runs; expected one for all, or one each."
            )
        for one, value in zip(sections, values, strict=True):
            one[key] = value
    return sections


def _ensemble_of(members: list[Teacher]) -> Teacher:
    """An ensemble; its identity lists its members under the keys of a single one."""
    from kdjax.models.ensemble import ensemble  # most runs have one teacher

    named = {f"member{i}": member.variables for i, member in enumerate(members)}
    variables = tuple({k: pair[part] for k, pair in named.items()} for part in (0, 1))
    identities, keys = [m.identity for m in members], ("workdir", "student", "step")
    identity = {key: ",".join(str(one[key]) for one in identities) for key in keys}
    identity["model"] = [one["model"] for one in identities]
    identity["digest"] = checkpoints.digest(variables)
    moments = [one.get("normalisation") for one in identities]
    adapted = [one.get("adapted") for one in identities]
    if any(moments) or any(adapted):
        from kdjax.weights import imported

        models = pretrained.imported_models(identities)
        changes = {"normalisation": moments, "adapted": adapted}
        changes = changes if any(adapted) else moments
        identity["digest"] = imported.digest(variables, changes, models)
    if any(moments):
        identity["normalisation"] = moments
    if any(adapted):
        identity["adapted"] = adapted
        requests = [one["asked"] for one in identities if "asked" in one]
        identity |= {"asked": requests[0]} if requests else {}
    network = ensemble(tuple(member.network for member in members))
    return Teacher(network, variables, identity, len(members))
