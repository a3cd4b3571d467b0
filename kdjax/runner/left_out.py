"""What a report could not show, and why."""

from collections.abc import Iterator

from kdjax.distributed import collectives
from kdjax.experiment.builders import UnnamedCodeError

MOST = 4  # names in a sentence


class LeftOut:
    """A line on stderr for each thing as it happens, and sentences for the page."""

    def __init__(self):
        self._reasons: dict[str, list[str]] = {}  # why -> what
        self._code: dict[str, list[str]] = {}  # function -> what

    def __call__(self, what: str, why: str | Exception) -> None:
        collectives.log(f"report: left out: {what}: {why}")
        causes = [one for one in _causes(why) if isinstance(one, UnnamedCodeError)]
        key, where = str(why), self._reasons
        if causes:
            key, where = causes[0].code, self._code
        where.setdefault(key, [])
        if what not in where[key]:
            where[key].append(what)

    def sentences(self) -> list[str]:
        """One for each reason, and one for all functions of the user's own."""
        lines = [f"Left out: {_named(w)}: {why}" for why, w in self._reasons.items()]
        if self._code:
            what = list(dict.fromkeys(sum(self._code.values(), [])))
            lines.append(
                f"Left out: {_named(what)}: code of your own, which a report runs only "
                "where you name it. If you trust it, add to the command: "
                f"--allow_code={','.join(self._code)}"
            )
        return lines


def _causes(error: str | BaseException | None) -> Iterator[BaseException]:
    while isinstance(error, BaseException):
        yield error
        error = error.__cause__


def _named(names: list[str]) -> str:
    more = [f"{len(names) - MOST} more"] * (len(names) > MOST)
    return " · ".join([*names[:MOST], *more])  # names have commas in them
