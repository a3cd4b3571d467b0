"""The sections of a report that need no more than what lies in the workdirs.

Each is a function that returns a `Section`, or None where the runs have nothing for it.
"""

from collections.abc import Sequence

from kdjax.reporting.blocks import Section
from kdjax.reporting.comparable import choose_baseline
from kdjax.reporting.grouping import make_groups
from kdjax.reporting.runs import Run
from kdjax.reporting.sections.comparison import comparison
from kdjax.reporting.sections.cost import cost
from kdjax.reporting.sections.curves import curves, rates
from kdjax.reporting.sections.overview import overview
from kdjax.reporting.sections.run_names import shortly_named
from kdjax.reporting.sections.scores import scores
from kdjax.reporting.sections.settings import settings


def run_sections(
    runs: list[Run], baseline: str = "", evidence: Sequence[Section] = ()
) -> list[Section]:
    """The sections in the order of the page; `baseline` as of `choose_baseline`.

    `evidence` are sections of what networks answer, which stand before the cost.
    """
    groups = make_groups(runs)
    first = choose_baseline(groups, baseline)
    runs = shortly_named(runs, groups)
    sections = [
        overview(runs),
        scores(groups),
        comparison(groups, first),
        settings(groups),
        curves(groups),
        rates(groups),
        *evidence,
        cost(runs),
    ]
    return [section for section in sections if section]
