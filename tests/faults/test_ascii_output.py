"""Tables on a terminal that knows ASCII only (PYTHONIOENCODING=ascii)."""

import io

import pytest

from kdjax.cli import analyse, reproduce
from kdjax.reporting.grids import Line, print_lines
from kdjax.reporting.reporter import Reporter
from kdjax.reporting.results import Result, print_table
from kdjax.reporting.speeds import print_feed_speeds, print_speeds
from tests.reporting.test_speeds import ROW

NAME = "Größe"
RESULT = Result(NAME, NAME, NAME, NAME, {"top1": 50.0}, 2.0, 2, [])
LINES = [
    Line(f"{NAME}-{seed}", {NAME: NAME, "seed": str(seed)}, NAME, "done", metrics, 1.0)
    for seed, metrics in enumerate([{"top1": 50.0}, {"top1": 53.0}])
]
FEED = {
    **{"set": NAME, "picture_bytes": 1e3, "picture_pixels": 1e6, "image_size": 8},
    **{"batch_size": 8, "placed": True, "processor": NAME, "cores": 2, "threads": 1},
    **{"load_average": 0.5, "images_per_second": 5.0, "images_per_second_low": 4.0},
    **{"images_per_second_high": 6.0, "images_per_second_per_core": 2.5},
    "images_per_cpu_second": 5.0,
}
PRINTED = {
    # What `train` and `report`, `sweep`, `bench` and `bench input` print.
    "results": lambda stream: print_table([RESULT], stream),
    "sweep": lambda stream: print_lines(LINES, stream),
    "speeds": lambda stream: print_speeds([ROW | {"device": NAME}], stream),
    "feed": lambda stream: print_feed_speeds([FEED], stream),
}


def printed(show, encoding: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(stream)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("show", PRINTED.values(), ids=PRINTED)
def test_tables_are_printed_in_any_encoding(show):
    text = printed(show, "ascii")
    assert "Gr??e" in text
    whole = printed(show, "utf-8")
    assert NAME in whole and "?" not in whole
    assert len(text.splitlines()) == len(whole.splitlines())


def test_analyse_and_reproduce_print_in_any_encoding(tmp_path, monkeypatch):
    quantities = ("logit_distance/median", "logit_mean_gap/mean", "agreement")
    metrics = dict.fromkeys(quantities, 1.0)
    monkeypatch.setattr(analyse, "analyse", lambda *_, **__: {NAME: metrics})
    monkeypatch.setattr(analyse.devices, "configure", lambda *_: None)
    commands = {
        analyse.main: ["WORKDIR", f"--output={tmp_path}"],
        reproduce.main: ["fashion_mnist", "--plan", f"--runs={tmp_path / NAME}"],
    }
    for main, words in commands.items():

        def show(stream, main=main, words=words):
            monkeypatch.setattr("sys.stdout", stream)
            assert main(words) == 0

        assert "Gr??e" in printed(show, "ascii")
        assert NAME in printed(show, "utf-8")


def test_a_deviation_has_a_sign_in_ascii():
    assert "51.50 +- 2.12" in printed(PRINTED["sweep"], "ascii")
    assert "51.50 ± 2.12" in printed(PRINTED["sweep"], "utf-8")


def test_the_line_of_a_run_is_printed_in_any_encoding(tmp_path):
    def show(stream):
        reporter = Reporter(
            tmp_path,
            start=0,
            total_steps=1,
            steps_per_epoch=1.0,
            tensorboard=False,
            stream=stream,
        )
        timing = {"seconds": 1.0, "images_per_second": 1.0, "input_percent": 0.0}
        reporter.train(1, {NAME: {"loss": 1.0, "skipped": 0.0}}, timing)
        reporter.evaluation(1, {NAME: {"top1": 50.0}})
        reporter.say(f"{NAME}: one sentence")
        reporter.close()

    assert printed(show, "ascii").count("Gr??e") == 3
    assert printed(show, "utf-8").count(NAME) == 3
