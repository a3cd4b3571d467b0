"""The search brackets the true limit, whatever that is, with few compilations."""

from hypothesis import given
from hypothesis import strategies as st

from kdjax.preflight.search import Found, largest


@given(
    limit=st.integers(0, 5000),
    start=st.integers(1, 5000),
    most=st.sampled_from((0, 1, 3, 40)),
)
def test_both_ends_are_true_and_were_tried(limit, start, most):
    tried = [start]

    def fits(rows):
        assert rows > 0
        tried.append(rows)
        return rows <= limit

    found = largest(fits, start, start <= limit, most)
    assert found.probes == len(tried) - 1 <= most
    assert len(set(tried)) == len(tried)
    assert found.fits <= limit and (not found.fits or found.fits in tried)
    assert found.fails is None or (found.fails > limit and found.fails in tried)
    if most == 40:
        assert found.fails - found.fits <= max(1, 8, found.fits // 16)
        assert limit < 16 or found.fits >= limit * 14 // 16 - 8


def test_small_batches_are_found_to_the_row():
    assert largest(lambda rows: rows <= 5, 64, False, most=20)[:2] == (5, 6)


def test_where_nothing_fits_the_answer_is_none():
    found = largest(lambda rows: False, 4, False, most=20)
    assert found == Found(0, 1, 2)
