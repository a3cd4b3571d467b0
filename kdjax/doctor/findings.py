"""Findings: what was looked at, whether it is as it should be, and what to do."""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from kdjax.contracts import BUCKET_CLIENTS, InputError

OK, NOTE, PROBLEM = "ok", "note", "problem"
NOT_DAMAGED = (
    "That is no damage: look at the permissions, the disk and the network, then look "
    "again."
)


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: str  # OK, NOTE: worth to know, or PROBLEM: something has to be done
    where: str  # a path, or what of the machine
    text: str
    advice: str = ""


Findings = Generator[Finding, None, Any]  # a check may return what it has read


def ok(where: object, text: str) -> Finding:
    return Finding(OK, str(where), text)


def note(where: object, text: str, advice: str = "") -> Finding:
    return Finding(NOTE, str(where), text, advice)


def problem(where: object, text: str, advice: str) -> Finding:
    return Finding(PROBLEM, str(where), text, advice)


def guarded(where: object, advice: str, check: Callable, *args: Any) -> Findings:
    """The findings of a check and what it returns; what it raises is a finding too.

    A file may hold anything, and the checks of the others go on. Returns None then.
    """
    try:
        return (yield from check(*args))
    except InputError as error:
        yield problem(where, str(error), advice)
    except Exception as error:
        text = f"{type(error).__name__}: {str(error)[:300]}"
        if isinstance(error, OSError) or _of_bucket(error):
            yield problem(where, f"cannot be read just now ({text})", NOT_DAMAGED)
        elif getattr(error, "exit_code", None):
            yield problem(where, str(error), advice)
        else:
            yield problem(where, f"has another form than kdjax writes ({text})", advice)
    return None


def _of_bucket(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in BUCKET_CLIENTS
