"""What docs/compatibility.md promises is what signatures.txt holds the code to."""

import re

import pytest

from tests import public_signatures
from tests.public_signatures import STORED, breaks, current

UPDATE = """
Is the change meant? Then run `python -m tests.public_signatures`, and give CHANGELOG.md
a line under [Unreleased]: Added, Changed (with what a caller does now) or Removed. What
breaks callers needs a version that still takes the old form and warns: see
docs/compatibility.md."""


def name_of(line: str) -> str:
    return re.split(r"[(:]", line)[0]


def report(stored: list[str], lines: list[str]) -> str:
    """What changed between the two, one a line; "" for nothing."""
    old, new = ({name_of(line): line for line in part} for part in (stored, lines))
    text = [f"removed, which breaks callers: {old[n]}" for n in old if n not in new]
    text += [f"added: {new[name]}" for name in new if name not in old]
    for name in old.keys() & new.keys():
        if old[name] != new[name]:
            why = breaks(old[name], new[name])
            kind = f"changed, which may break callers ({why})" if why else "extended"
            text.append(f"{kind}:\n    {old[name]}\n    {new[name]}")
    return "\n".join(sorted(text))


def test_public_names_and_arguments_are_those_that_were_promised():
    changed = report(STORED.read_text().splitlines(), current())
    assert not changed, f"the public interface changed:\n{changed}\n{UPDATE}"


@pytest.mark.parametrize(
    "before, after, why",
    [
        ("f(a, b=1)", "f(a, b=1, c=2)", ""),
        ("f(a, b=1)", "f(a, b=1, *, c=None)", ""),
        ("f(a, *, b)", "f(a, *, b=3)", "b: another default"),
        ("f(a, b=1)", "f(a)", "b: no longer taken"),
        ("f(a, b=1)", "f(a, beta=1)", "b: no longer taken"),
        ("f(a, b=1)", "f(a, b)", "b: has to be given now"),
        ("f(a)", "f(a, b)", "b: has to be given now"),
        ("f(a, b)", "f(b, a)", "arguments by position mean others"),
        ("f(a, b=1)", "f(a, *, b=1)", "arguments by position mean others"),
        ("f(a, b=1)", "f(a, c=2, b=1)", "arguments by position mean others"),
        ("f(t=4.0)", "f(t=1.0)", "t: another default"),
        ("f(a, **rest)", "f(a)", "any other keyword: no longer taken"),
        ("config.a: a number = 1", "config.a: a string = 1", "a value that was right"),
        ("config.a: x|y = 'x'", "config.a: x|y|z = 'x'", ""),
        ("config.a: x|y = 'x'", "config.a: x|z = 'x'", "a value that was right"),
        ("config.a: x|y = 'x'", "config.a: x|y = 'y'", "another default"),
    ],
)
def test_what_breaks_callers(before, after, why):
    found = breaks(before, after)
    assert found.startswith(why) and bool(found) == bool(why)


def test_a_change_is_reported(monkeypatch):
    lines = current()
    stored = [line.replace("temperature", "tau") for line in lines[1:]]
    text = report([*stored, "kdjax.losses.gone(a)"], lines)
    assert "removed, which breaks callers: kdjax.losses.gone(a)" in text
    assert f"added: {lines[0]}" in text and "tau: no longer taken" in text


def test_the_promised_modules_are_whole():
    lines = {name_of(line) for line in current()}
    for module in (public_signatures.losses, public_signatures.supervision):
        assert {f"{module.__name__}.{name}" for name in module.__all__} <= lines
    assert {"kdjax.train", "kdjax.distill", "kdjax.load", "kdjax.evaluate"} <= lines
