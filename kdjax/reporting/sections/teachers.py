"""Which teacher each line of a report had."""

from kdjax.reporting.groups import Group
from kdjax.reporting.runs import Run, run_at

# A teacher by its networks, several of an ensemble: names of members of the report,
# else where they are.
Networks = tuple[str, ...]


def teachers(groups: list[Group]) -> dict[str, set[Networks]]:
    """Name of a group -> the teachers of its members; none of those without one."""
    members = [member for group in groups for member in group.members]
    runs = list({member.run.workdir: member.run for member in members}.values())
    names = {(m.run.workdir, m.result.student): m.name for m in members}
    places: dict[str, Run | None] = {}

    def name_of(text: str, student: str) -> str:
        if text not in places:
            places[text] = run_at(text, runs)
        if (run := places[text]) is None:
            return text
        only = run.results[0].student if len(run.results) == 1 else student
        return names.get((run.workdir, only), run.name)

    return {
        group.name: {
            tuple(name_of(*place) for place in own)
            for member in group.members
            if (own := _places(member.run))
        }
        for group in groups
    }


def _places(run: Run) -> list[tuple[str, str]]:
    """(workdir, student) of the networks of a run's teacher; or a function of it."""
    section = run.identity.get("teacher") or run.config.get("teacher") or {}
    if section.get("network"):
        return [(str(section["network"]), "")]
    texts = filter(None, map(str.strip, str(section.get("workdir", "")).split(",")))
    students = str(section.get("student") or "").split(",")
    return [(text, students[min(i, len(students) - 1)]) for i, text in enumerate(texts)]


def teacher_words(networks: set[Networks], groups: list[Group]) -> str:
    """The teachers of a line: of seeds of one teacher its line, of an ensemble all."""
    lines = {member.name: g.name for g in groups for member in g.members}
    words = [
        " + ".join(dict.fromkeys(lines.get(name, name) for name in own))
        for own in sorted(networks)
    ]
    return ", ".join(dict.fromkeys(words)) or "-"


def common_teacher(all_networks: set[Networks], groups: list[Group]) -> list[float]:
    """The test accuracies of the one teacher that all have, several of its seeds.

    [] where teachers differ or one is an ensemble, whose accuracy is none of its
    networks', or no line of the report.
    """
    names = {name for networks in all_networks for name in networks}
    if any(len(networks) > 1 for networks in all_networks):
        return []
    for group in groups:
        own = [member for member in group.counted if member.name in names]
        if group.is_teacher and names <= {member.name for member in group.members}:
            scores = [member.result.metrics.get("top1") for member in own]
            return [score for score in scores if score is not None]
    return []
