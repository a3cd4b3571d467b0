"""Trained networks that differ in nothing but their seed, as one line of a table."""

import collections
import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

from kdjax.contracts import flat
from kdjax.reporting.results import Result, series
from kdjax.reporting.runs import Run
from kdjax.reporting.same_images import images_of
from kdjax.reporting.training_settings import value_text


class Member(NamedTuple):
    """One trained network of a report."""

    name: str  # no other in the report has it
    run: Run
    result: Result

    @property
    def seed(self) -> int:
        return self.result.section.get("seed", self.run.config.get("seed", 0))


class Group(NamedTuple):
    """Members with one setting."""

    name: str
    members: list[Member]
    is_teacher: bool = False  # of others, and of a network that no student has
    conditions: Mapping = {}  # of `training_settings.conditions`

    @property
    def first(self) -> Result:
        return self.members[0].result

    @property
    def model(self) -> Mapping:
        """The network with its settings, such as the depth."""
        return self.first.section.get("model", {"name": self.first.model})

    def images(self, part: str) -> dict:
        """The "train" or "test" images, to be compared by `same_images`."""
        return images_of(self.members[0].run, part)

    @property
    def is_finished(self) -> bool:
        return any(member.result.is_finished for member in self.members)

    @property
    def counted(self) -> list[Member]:
        """Those that are finished, or all while none is."""
        finished = [member for member in self.members if member.result.is_finished]
        return finished or self.members

    def labels(self) -> list[str]:
        """What tells the members from each other: their seeds, or their names."""
        seeds = [f"seed {member.seed}" for member in self.members]
        is_enough = len(set(seeds)) == len(seeds)
        return seeds if is_enough else [member.name for member in self.members]

    def values(self, key: str) -> list[float]:
        """A metric of the last evaluation, a value a member that has it."""
        metrics = [member.result.metrics for member in self.counted]
        return [row[key] for row in metrics if math.isfinite(row.get(key, math.nan))]

    def mean(self, key: str) -> float:
        """Of `values`, by which groups are ranked: more seeds are no advantage."""
        return statistics.fmean(self.values(key) or [0.0])

    def by_seed(self, key: str) -> dict[int, float]:
        """Seed -> a metric; the mean where a seed was run more than once."""
        scores = collections.defaultdict(list)
        for member in self.counted:
            if math.isfinite(value := member.result.metrics.get(key, math.nan)):
                scores[member.seed].append(value)
        return {seed: statistics.fmean(values) for seed, values in scores.items()}

    def best(self) -> list[tuple[float, float]]:
        """(test top-1, epoch) of each member's best evaluation."""
        curves = [series(member.result, "eval/top1") for member in self.counted]
        pairs = (zip(ys, xs, strict=True) for xs, ys in curves if ys)
        return [max(pair, key=lambda one: one[0]) for pair in pairs]


def mean_text(values: list[float], decimals: int = 2) -> str:
    """51.23 ± 0.40 (3): the sample deviation and how many; 51.23 of one; - of none."""
    if not values:
        return "-"
    mean = f"{statistics.fmean(values):.{decimals}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{decimals}f} ({len(values)})"


def model_labels(results: list[Result]) -> list[str]:
    """Each one's network, and what tells it from others of the same name."""
    sections = [flat(result.section.get("model", {})) for result in results]
    texts = []
    for result, own in zip(results, sections, strict=True):
        same = [s for s in sections if s.get("name") == own.get("name")]
        words = [
            f"{key} {value_text(v)}"
            for key, v in own.items()
            if any(other.get(key) != v for other in same)
        ]
        texts.append(", ".join([result.model, *words]))
    return texts


def parameter(result: Result, key: str) -> float | None:
    """A number in a student's method, such as "temperature", which may be infinite."""
    try:
        return float(result.section.get("method", {})[key])
    except (KeyError, TypeError, ValueError):
        return None
