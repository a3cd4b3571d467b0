"""What is said of a run on one line: all of it, or what a terminal is wide enough for.

Of several students the losses count most; what is in metrics.jsonl as well goes first.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

SHORTEST = 3  # letters of a student's name


class ProgressLine(NamedTuple):
    """A run after some step."""

    step: int
    total_steps: int
    left: float  # seconds
    timing: dict
    metrics: dict[str, dict[str, float]]  # student -> loss, its terms, skipped

    @property
    def full(self) -> str:
        """Everything, however long."""
        every = "  ".join(_losses(name, row) for name, row in self.metrics.items())
        return f"{self._head}  {input_share(self.timing)}  {every}"

    def fitted(self, width: int) -> str:
        """The longest of the forms that has at most so many letters.

        The last one where none has.
        """
        for text in self._forms(width):
            if len(text) <= width:
                break
        return text

    @property
    def _head(self) -> str:
        percent = 100 * self.step / self.total_steps
        return (
            f"step {self.step}/{self.total_steps}  {percent:.1f}%  "
            f"ETA {duration(self.left)}  {self._rate}"
        )

    @property
    def _rate(self) -> str:
        return f"{self.timing['images_per_second']:,.0f} images/s"

    def _forms(self, width: int) -> Iterator[str]:
        yield self.full
        share, names = input_share(self.timing), list(self.metrics)
        yield f"{self._head}  {share}  {self._every(names, 4)}"
        yield f"{self._head}  {self._every(names, 4)}"
        place = f"{self.step}/{self.total_steps}  ETA {duration(self.left)}"
        yield f"{place}  {self._rate}  {self._every(names, 2)}"
        yield f"{place}  {self._every(names, 2)}"
        # What all names begin with says nothing; and then each has as much room.
        rest = width - len(f"{place}  {self._every([''] * len(names), 2)}")
        short = shortened(names, max(rest // len(names), SHORTEST))
        if len(set(short)) == len(names):
            yield f"{place}  {self._every(short, 2)}"
        losses = [row["loss"] for row in self.metrics.values()]
        range_ = f"loss {min(losses):.2f} to {max(losses):.2f}"
        skipped = sum(row["skipped"] for row in self.metrics.values())
        end = f"  SKIPPED {skipped:.0f}" if skipped else ""
        yield f"{place}  {self._rate}  {len(names)} students: {range_}{end}"
        yield f"{place}  {range_}{end}"

    def _every(self, names: list[str], digits: int) -> str:
        rows = zip(names, self.metrics.values(), strict=True)
        return "  ".join(_loss(name, row, digits) for name, row in rows)


def shortened(names: list[str], most: int) -> list[str]:
    """Names without what all begin with, up to a - _ or ., and of `most` letters.

    >>> shortened(["tau_1_long", "tau_4", "tau_20"], 4)
    ['1_l…', '4', '20']
    """
    start = os.path.commonprefix(names) if len(names) > 1 else ""
    cut = max((start.rfind(one) + 1 for one in "-_."), default=0)
    rest = [name[cut:] or name for name in names]
    return [name if len(name) <= most else f"{name[: most - 1]}…" for name in rest]


def duration(seconds: float) -> str:
    """93784 -> '26h03m', 125 -> '2m05s', 4.2 -> '4s'."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minute:02d}m"
    return f"{minutes}m{second:02d}s" if minutes else f"{second}s"


def input_share(timing: dict) -> str:
    """The largest share of the time until the input was ready, and whose it is."""
    whose = f" (process {timing['input_process']})" if "input_process" in timing else ""
    return f"input {timing['input_percent']:.1f}%{whose}"


def _losses(name: str, row: dict[str, float]) -> str:
    terms = [k for k in row if k.startswith("loss/")]
    inner = ", ".join(f"{k.removeprefix('loss/')} {row[k]:.4f}" for k in terms)
    return _loss(name, row, 4, f" ({inner})" if len(terms) > 1 else "")


def _loss(name: str, row: dict[str, float], digits: int, terms: str = "") -> str:
    skipped = f" SKIPPED {row['skipped']:.0f}" if row["skipped"] else ""
    return f"{name} {row['loss']:.{digits}f}{terms}{skipped}"
