"""A run in a notebook: one output, which is updated."""

import sys
import types

import pytest

from kdjax.reporting.notebook import KEPT, NotebookLine, in_notebook
from kdjax.reporting.reporter import Reporter


class Output:
    """What IPython's `display` returns; its contents, one after the other."""

    def __init__(self, content):
        self.contents = [content]

    def update(self, content, raw):
        assert raw
        self.contents.append(content)


@pytest.fixture
def outputs(monkeypatch):
    """The outputs of a cell, in a kernel that stands in for Jupyter's."""
    shown = []

    def display(content, raw, display_id):
        assert raw and display_id
        shown.append(Output(content))
        return shown[-1]

    ipython, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def test_a_run_has_one_output(outputs, tmp_path, capfd):
    steps = 400
    reporter = Reporter(
        tmp_path, start=0, total_steps=steps, steps_per_epoch=10, tensorboard=False
    )
    timing = {"images_per_second": 100.0, "seconds": 1.0, "input_percent": 0.0}
    for step in range(1, steps + 1):
        reporter.train(step, {"kd": {"loss": 1.0, "skipped": 0.0}}, timing)
        if step % 10 == 0:
            reporter.evaluation(step, {"kd": {"top1": 50.0}})
    reporter.say("goodput 90 %")
    reporter.close()
    (output,) = outputs
    assert len(output.contents) == steps + steps // 10 + 1
    *lines, last = output.contents[-1]["text/plain"].splitlines()
    assert last.startswith("step 400/400  100.0%")
    assert len(lines) == KEPT and lines[-2:] == ["epoch 40  kd 50.00%", "goodput 90 %"]
    assert capfd.readouterr() == ("", "")


def test_what_a_terminal_obeys_is_shown(outputs):
    NotebookLine().keep("run \x1b[2J")
    assert outputs[0].contents == [{"text/plain": "run \\x1b[2J"}]


def test_a_terminal_of_ipython_is_no_notebook(outputs, monkeypatch):
    assert in_notebook()
    terminal = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()
