"""WTTM: TTM's loss, weighed by the sum of the teacher's powers."""

from kdjax.methods import METHODS
from tests.methods.test_ttm import check_objective


def test_the_objective_is_the_papers():
    check_objective("wttm", weighs=True)


def test_the_default_is_the_authors_example():
    assert METHODS["wttm"].build().terms[-1].coefficient == 4.0
