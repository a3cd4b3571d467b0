"""The live line, metrics.jsonl, and what a resume does to them."""

import io
import json
import math

import pytest

from kdjax.reporting.progress import ProgressLine, duration
from kdjax.reporting.reporter import Reporter, read_rows


def make_reporter(path, start=0, stream=None, **more):
    return Reporter(
        path,
        start=start,
        total_steps=100,
        steps_per_epoch=10.0,
        tensorboard=False,
        stream=stream or io.StringIO(),
        **more,
    )


ROW = {"loss": 1.5, "loss/hard_label": 1.0, "loss/soft_logits": 2.0, "skipped": 0.0}
TIMING = {"seconds": 2.0, "images_per_second": 1234.5, "input_percent": 0.26}


def test_the_line_has_step_percent_eta_rate_and_parts(tmp_path):
    stream = io.StringIO()
    reporter = make_reporter(tmp_path, stream=stream)
    reporter.train(20, {"kd": ROW}, TIMING)
    reporter.close()
    assert stream.getvalue().strip() == (
        "step 20/100  20.0%  ETA 8s  1,234 images/s  input 0.3%  "
        "kd 1.5000 (hard_label 1.0000, soft_logits 2.0000)"
    )


def test_skipped_steps_are_shown(tmp_path):
    stream = io.StringIO()
    reporter = make_reporter(tmp_path, stream=stream)
    reporter.train(20, {"kd": {"loss": 1.0, "skipped": 3.0}}, TIMING)
    reporter.close()
    assert stream.getvalue().rstrip().endswith("kd 1.0000 SKIPPED 3")


def test_rows_are_json_with_namespaced_keys(tmp_path):
    reporter = make_reporter(tmp_path)
    reporter.train(20, {"kd": ROW | {"loss": math.nan}}, TIMING)
    reporter.evaluation(20, {"kd": {"top1": 50.0}})
    reporter.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert first["step"] == 20 and first["epoch"] == 2.0
    assert first["train/kd/loss"] is None  # JSON has no NaN
    assert first["train/kd/loss/soft_logits"] == 2.0
    assert first["train/images_per_second"] == 1234.5
    assert first["train/input_percent"] == 0.26
    assert second["eval/kd/top1"] == 50.0


def test_a_resume_keeps_the_past_and_drops_the_lost_future(tmp_path):
    reporter = make_reporter(tmp_path)
    for step in (10, 20, 30):
        reporter.train(step, {"kd": ROW}, TIMING)
    reporter.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "to')
    before = read_rows(tmp_path / "metrics.jsonl")
    again = make_reporter(tmp_path, start=20)
    assert again.seconds >= before[1]["seconds"]
    again.train(30, {"kd": ROW}, TIMING)
    again.close()
    after = read_rows(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in after] == [10, 20, 30]
    assert after[:2] == before[:2]


def test_an_evaluation_whose_state_was_not_saved_goes_too(tmp_path):
    """It is evaluated at the next start, and killed while that is saved."""
    reporter = make_reporter(tmp_path)
    reporter.train(10, {"kd": ROW}, TIMING)
    reporter.evaluation(10, {"kd": {"top1": 50.0}})
    reporter.close()
    spent = {"step": 10, "seconds": 100.0, "time": {"total": 100.0}}
    again = make_reporter(tmp_path, start=10, progress=spent, evaluated=False)
    again.close()
    assert again.seconds >= 100.0
    (row,) = read_rows(tmp_path / "metrics.jsonl")
    assert row["step"] == 10 and "train/kd/loss" in row


def test_tensorboard_events_are_written(tmp_path):
    reporter = Reporter(
        tmp_path, start=0, total_steps=1, steps_per_epoch=1.0, stream=io.StringIO()
    )
    reporter.train(1, {"kd": ROW}, TIMING)
    reporter.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/kd/loss/soft_logits" in events.read_bytes()


@pytest.mark.parametrize(
    ("seconds", "text"),
    ((4.2, "4s"), (125, "2m05s"), (93784, "26h03m"), (59.7, "1m00s")),
)
def test_durations(seconds, text):
    assert duration(seconds) == text


FIVE = ("ce", "kd", "mse", "dkd", "dist")
LONG = tuple(f"temperature_{tau}_alpha_0.9" for tau in (1, 2, 4, 8, 16))


def line_of(names, **more):
    metrics = {name: ROW | more for name in names}
    return ProgressLine(1200, 78_200, 7384.0, TIMING, metrics)


@pytest.mark.parametrize(
    ("width", "names", "expected"),
    (
        (
            200,
            ("kd",),
            "  1.5%  ETA 2h03m  1,234 images/s  input 0.3%  kd 1.5000 (hard",
        ),
        (80, ("kd",), "1.5%  ETA 2h03m  1,234 images/s  input 0.3%  kd 1.5000"),
        (80, FIVE, "1200/78200  ETA 2h03m  ce 1.50  kd 1.50  mse 1.50  dkd 1.50  dist"),
        (80, LONG, "ETA 2h03m  1_a… 1.50  2_a… 1.50  4_a… 1.50  8_a… 1.50  16_…"),
        (70, LONG, "ETA 2h03m  1,234 images/s  5 students: loss 1.50 to 1.50"),
        (45, FIVE, "1200/78200  ETA 2h03m  loss 1.50 to 1.50"),
    ),
)
def test_the_line_fits_its_terminal(width, names, expected):
    text = line_of(names).fitted(width)
    assert expected in text and len(text) <= width


def test_skipped_steps_are_shown_in_every_form():
    for width in (60, 80, 110, 140, 400):
        for names in (("kd",), FIVE, LONG):
            text = line_of(names, skipped=3.0).fitted(width)
            assert "SKIPPED" in text and len(text) <= width
