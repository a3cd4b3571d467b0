"""The search brackets the true limit, whatever that is, with few compilations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdjax.preflight.search import Bracket, largest

CAPACITY = 1_000_000


def device(limit, gives_bytes=lambda rows: True, curve=0.0):
    """(needs, its calls): rows up to `limit` fit; the bytes are a line, or bend.

    Args:
      limit: of the rows.
      gives_bytes: rows -> whether the bytes are known.
      curve: how much more bytes a row takes when there are many.
    """
    calls = []

    def bytes_(rows):
        most = (limit + 0.5) * (1 + curve * limit)
        return 100_000 + 900_000 * rows * (1 + curve * rows) / most

    def needs(rows):
        assert rows > 0
        calls.append(rows)
        return rows <= limit, int(bytes_(rows)) if gives_bytes(rows) else None

    return needs, calls


@given(
    limit=st.integers(0, 5000),
    start=st.integers(1, 5000),
    most=st.sampled_from((0, 1, 3, 40)),
    period=st.sampled_from((0, 2, 3)),
)
def test_both_ends_are_true_and_were_tried(limit, start, most, period):
    needs, tried = device(limit, lambda rows: period and rows % period)
    bracket = largest(needs, start, needs(start), CAPACITY, most)
    assert bracket.probes == len(tried) - 1 <= most
    assert len(set(tried)) == len(tried)
    assert bracket.fits <= limit and (not bracket.fits or bracket.fits in tried)
    assert bracket.fails is None or (bracket.fails > limit and bracket.fails in tried)
    if most == 40:
        assert bracket.fails - bracket.fits <= max(1, 8, bracket.fits // 16)
        assert limit < 16 or bracket.fits >= limit * 14 // 16 - 8


@pytest.mark.parametrize("start", [8, 64, 256, 2000])
@pytest.mark.parametrize("limit", [60, 700, 5000])
@pytest.mark.parametrize("curve", [0.0, 1e-5])
def test_where_bytes_are_known_few_are_enough(limit, start, curve):
    needs, _ = device(limit, curve=curve)
    bracket = largest(needs, start, needs(start), CAPACITY, most=50)
    assert bracket.fails is not None and bracket.probes <= 5


LIMIT = 1700


def squeezing(rows):
    """Near what XLA answered for ResNet-34 -> ResNet-18 on v5e:4x4, float32.

    Of 15.75 GiB, GB at so many images a chip: 256 4.8, 512 9.3, 936 14.6, 1120 15.7,
    1320 15.8, and refused: 2670 32.6, 2848 35.6. LIMIT is where the latter lead to.
    """
    if rows > LIMIT:
        return False, int(32.6e9 + 16.4e6 * (rows - 2670))
    if rows < 800:
        return True, int(0.24e9 + 17.7e6 * rows)
    return True, int(15.85e9 - 1.25e9 * 2 ** ((936 - rows) / 75))


@pytest.mark.parametrize("start", [16, 256, 1024])
def test_a_compiler_that_makes_room_does_not_lead_it_astray(start):
    bracket = largest(squeezing, start, squeezing(start), 16_911_433_728, most=6)
    assert 0.9 * LIMIT < bracket.fits <= LIMIT < bracket.fails < 1.25 * LIMIT


def test_small_batches_are_searched_to_the_row():
    needs, _ = device(5, gives_bytes=lambda rows: False)
    assert largest(needs, 64, needs(64), None, most=20)[:2] == (5, 6)


def test_where_nothing_fits_the_lower_end_is_0():
    bracket = largest(lambda rows: (False, None), 4, (False, None), None, most=20)
    assert bracket == Bracket(0, 1, 2)
