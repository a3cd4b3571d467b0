"""Which files are split off: the same ones of the same names, everywhere."""

import hashlib

import pytest

from kdjax.datasets import holdout
from kdjax.datasets.folders import File


def files(count, name="cat"):
    return [File(name, f"{number}.jpg", 5) for number in range(count)]


def test_neither_order_nor_machine_matters():
    given = files(50) + files(30, "dog")
    train, validation = holdout.split_off(given, 0.2, 0)
    other, reversed_ = holdout.split_off(given[::-1], 0.2, 0)
    assert set(validation) == set(reversed_) and set(train) == set(other)
    assert len(validation) == 16
    # By the definition that the docstring has: the smallest SHA-256 of seed and name.
    ranked = sorted(
        given[:50],
        key=lambda f: hashlib.sha256(f"0:{f.class_name}/{f.name}".encode()).digest(),
    )
    assert {f for f in validation if f.class_name == "cat"} == set(ranked[:10])
    assert set(holdout.split_off(given, 0.2, 1)[1]) != set(validation)


def test_letters_with_accents_in_either_form():
    first = [File("café", f"{i}.jpg", 1) for i in range(20)]
    second = [File("cafe\u0301", f"{i}.jpg", 1) for i in range(20)]
    pair = [
        [f.name for f in holdout.split_off(one, 0.3, 0)[1]] for one in (first, second)
    ]
    assert pair[0] == pair[1]


def test_a_file_that_comes_later_moves_few():
    before = set(holdout.split_off(files(100), 0.2, 0)[1])
    after = set(holdout.split_off(files(103), 0.2, 0)[1])
    assert len(before ^ after) <= 7


@pytest.mark.parametrize(
    "count, share, expected",
    [(1, 0.5, 0), (2, 0.01, 1), (2, 0.99, 1), (3, 0.9, 2), (10, 0.0, 0), (10, 0.25, 3)],
)
def test_both_sides_have_one_where_there_are_two(count, share, expected):
    train, validation = holdout.split_off(files(count), share, 0)
    assert len(validation) == expected and len(train) == count - expected
