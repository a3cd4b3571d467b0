"""The search brackets the true limit, whatever that is, with few compilations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdjax.preflight.search import Found, largest

CAPACITY = 1_000_000


def device(limit, told=lambda rows: True, curve=0.0):
    """(answers, what was asked): rows up to `limit` fit; the bytes are a line, or bend.

    Args:
      limit: of the rows.
      told: rows -> whether the bytes are told.
      curve: how much more bytes a row takes when there are many.
    """
    asked = []

    def bytes_(rows):
        most = (limit + 0.5) * (1 + curve * limit)
        return 100_000 + 900_000 * rows * (1 + curve * rows) / most

    def needs(rows):
        assert rows > 0
        asked.append(rows)
        return rows <= limit, int(bytes_(rows)) if told(rows) else None

    return needs, asked


@given(
    limit=st.integers(0, 5000),
    start=st.integers(1, 5000),
    most=st.sampled_from((0, 1, 3, 40)),
    told=st.sampled_from((0, 2, 3)),
)
def test_both_ends_are_true_and_were_tried(limit, start, most, told):
    needs, tried = device(limit, lambda rows: told and rows % told)
    found = largest(needs, start, needs(start), CAPACITY, most)
    assert found.probes == len(tried) - 1 <= most
    assert len(set(tried)) == len(tried)
    assert found.fits <= limit and (not found.fits or found.fits in tried)
    assert found.fails is None or (found.fails > limit and found.fails in tried)
    if most == 40:
        assert found.fails - found.fits <= max(1, 8, found.fits // 16)
        assert limit < 16 or found.fits >= limit * 14 // 16 - 8


@pytest.mark.parametrize("start", [8, 64, 256, 2000])
@pytest.mark.parametrize("limit", [60, 700, 5000])
@pytest.mark.parametrize("curve", [0.0, 1e-5])
def test_where_bytes_are_told_few_are_enough(limit, start, curve):
    needs, _ = device(limit, curve=curve)
    found = largest(needs, start, needs(start), CAPACITY, most=50)
    assert found.fails is not None and found.probes <= 5


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
    found = largest(squeezing, start, squeezing(start), 16_911_433_728, most=6)
    assert 0.9 * LIMIT < found.fits <= LIMIT < found.fails < 1.25 * LIMIT


def test_small_batches_are_found_to_the_row():
    needs, _ = device(5, told=lambda rows: False)
    assert largest(needs, 64, needs(64), None, most=20)[:2] == (5, 6)


def test_where_nothing_fits_the_answer_is_none():
    found = largest(lambda rows: (False, None), 4, (False, None), None, most=20)
    assert found == Found(0, 1, 2)
