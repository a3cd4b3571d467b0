"""The share of the time that goes to input: the largest of all processes, and whose."""

import io
import time
import types

from kdjax.reporting.reporter import Reporter, read_rows
from kdjax.training.loop import run as train
from kdjax.training.plan import Plan
from tests.distributed.test_collectives import run

METRICS = {"s": {"loss": 1.0, "skipped": 0.0}}


def timings(group, number, late):
    """What a process reports after steps 2 and 4, where process `late` has to wait."""

    class Steps:
        def ready(self, number_, most):
            time.sleep(0.1 * (number == late))
            return 1, None

        def run(self, states, number_, count, rows):
            time.sleep(0.005)
            return states, METRICS

    def nothing(*_): ...

    reported = []
    reporter = types.SimpleNamespace(
        train=lambda step, metrics, timing: reported.append(timing),
        evaluation=nothing,
        flush=nothing,
        seconds=0.0,
    )
    train(
        Plan(total_steps=4, log_every=2, evaluate_every=9.0),
        0,
        start=0,
        steps=Steps(),
        evaluate=lambda states: {},
        checkpointer=types.SimpleNamespace(save=nothing, wait=nothing),
        reporter=reporter,
        images_per_step=4,
        gather=group.gather,
    )
    return [(row["input_percent"], row.get("input_process")) for row in reported]


def test_process_0_reports_the_largest_and_the_others_their_own():
    first, second, third = run(3, lambda group, number: timings(group, number, 2))
    for (largest, whose), (small, none), own in zip(first, second, third, strict=True):
        assert whose == 2 and own == (largest, None)
        assert largest > small and none is None


def test_the_line_and_the_rows_say_whose_it_is(tmp_path):
    stream = io.StringIO()
    reporter = Reporter(
        tmp_path,
        start=0,
        total_steps=4,
        steps_per_epoch=2,
        tensorboard=False,
        stream=stream,
    )
    timing = {"seconds": 1.0, "images_per_second": 8.0, "input_percent": 40.04}
    reporter.train(2, METRICS, timing | {"input_process": 3})
    reporter.train(4, METRICS, timing)
    reporter.close()
    first, second = stream.getvalue().splitlines()
    assert "input 40.0% (process 3)  s 1.0000" in first
    assert "input 40.0%  s 1.0000" in second
    shares = [
        [row.get(f"train/input_{key}") for key in ("percent", "process")]
        for row in read_rows(tmp_path / "metrics.jsonl")
    ]
    assert shares == [[40.04, 3], [40.04, None]]
