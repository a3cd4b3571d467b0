"""Progress in a notebook: one output that is updated in place."""

import collections
import sys

from kdjax.contracts import printable
from kdjax.reporting.progress import ProgressLine

KEPT = 12  # sentences above the live line; metrics.jsonl has all numbers


def in_notebook() -> bool:
    """Whether a kernel of Jupyter, Colab or VS Code runs this; a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


class NotebookLine:
    """The latest sentences and the live line, as one output of a cell."""

    def __init__(self):
        self._kept = collections.deque(maxlen=KEPT)
        self._live, self._output = "", None

    def show(self, line: ProgressLine, last: bool) -> None:
        self._live = printable(line.full)
        self._update()

    def keep(self, text: str, style: str = "") -> None:
        self._kept.append(printable(text))
        self._update()

    def close(self) -> None: ...

    def _update(self) -> None:
        from IPython.display import display

        lines = [*self._kept, self._live] if self._live else self._kept
        content = {"text/plain": "\n".join(lines)}
        if self._output is None:
            self._output = display(content, raw=True, display_id=True)
        else:
            self._output.update(content, raw=True)
