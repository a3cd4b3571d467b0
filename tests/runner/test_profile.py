"""--profile: which steps it traces, and what a run with it leaves and prints."""

import pytest

from kdjax.__main__ import main
from kdjax.contracts import InputError
from kdjax.runner import profile
from kdjax.runner.profile import Traced, check_profile, parse
from tests.sweeps import sweeps


@pytest.mark.parametrize(
    "text", ("5", "0:3", "9:8", "a:b", "1:2:3", "-1:4", "1:", "²:3")
)
def test_what_is_no_range_of_steps_is_refused(text):
    with pytest.raises(InputError, match=r"expected A:B, the first and the last step"):
        parse(text)


def test_steps_are_counted_from_one_and_are_the_runs():
    assert parse("101:110") == (101, 110)
    check_profile((1, 20), 20)
    with pytest.raises(InputError, match="is 1:21 and the run has 20 steps"):
        check_profile((1, 21), 20)


class Dispatches:
    """As many steps at a time as there are; the trace that runs meanwhile."""

    def __init__(self):
        self.tracing, self.traced = False, []

    def run(self, states, number, count, batch_specs):
        if self.tracing:
            self.traced.append((number + 1, number + count))
        return states, {}


@pytest.mark.parametrize(
    ("range_", "dispatches", "traced"),
    (
        ((5, 6), [1] * 8, [(5, 5), (6, 6)]),
        ((5, 6), [4, 4, 4], [(5, 8)]),
        ((4, 5), [4, 4, 4], [(1, 4), (5, 8)]),
        ((9, 99), [4, 4, 2], [(9, 10)]),  # stopped before
        ((1, 2), [], []),
    ),
)
def test_whole_dispatches_are_traced(monkeypatch, tmp_path, range_, dispatches, traced):
    steps, said = Dispatches(), []
    monkeypatch.setattr(
        profile.jax.profiler,
        "start_trace",
        lambda *_, **__: setattr(steps, "tracing", True),
    )

    def stop():
        assert steps.tracing
        steps.tracing = False

    monkeypatch.setattr(profile.jax.profiler, "stop_trace", stop)
    monkeypatch.setattr(
        Traced,
        "_report",
        lambda self, source: said.append((self._from, self._to)),
    )
    wrapped, number = Traced(steps, range_, tmp_path, said.append), 0
    for count in dispatches:
        wrapped.run((), number, count, None)
        number += count
    wrapped.close()
    assert steps.traced == traced and not steps.tracing
    if traced:
        assert said == [(traced[0][0], traced[-1][1])]
    else:
        assert said == [
            "profile: steps 1 to 2 are not of this start; nothing was traced"
        ]


def test_a_run_leaves_a_trace_and_prints_its_costliest_operations(
    data_dir, tmp_path, capsys, as_they_are
):
    file = sweeps.write(tmp_path, data_dir)
    command = ["train", f"--config={file}:4", f"--workdir={tmp_path / 'w'}"]
    assert main([*command, "--profile=3:9"]) == 2
    assert "the run has 4 steps" in capsys.readouterr().err
    assert main([*command, "--profile=3:4"]) == 0
    said = capsys.readouterr().err
    assert f"profile: steps 3 to 4 are in {tmp_path / 'w' / 'tensorboard'}" in said
    lines = said.split("operation, of 8 device(s)\n")[1].splitlines()[:11]
    shares = [float(line.split("%")[0]) for line in lines]
    assert sum(shares) == pytest.approx(100, abs=0.6)
    assert shares[:10] == sorted(shares[:10], reverse=True)
    assert lines[10].endswith(" others")
    (trace,) = (tmp_path / "w" / "tensorboard" / "plugins").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000
