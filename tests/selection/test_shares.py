import numpy as np
import pytest

from kdjax.selection.shares import class_shares, describe_kept

LABELS = np.array([0, 1, 1, 2, 2, 2, 2, 0])
KEEP = np.array([1, 0, 1, 0, 0, 0, 1, 1], bool)
SHARES = {"a": 1.0, "b": 0.5, "c": 0.25}


def test_shares_are_counted_class_by_class():
    assert class_shares(KEEP, LABELS, ("a", "b", "c")) == SHARES
    numbered = dict(zip("012", SHARES.values(), strict=True))
    assert class_shares(KEEP, LABELS) == numbered


@pytest.mark.parametrize("dtype", (str, object))
def test_names_may_be_an_array(dtype):
    assert class_shares(KEEP, LABELS, np.array(["a", "b", "c"], dtype)) == SHARES
    for names in (np.array("abc"), np.array([["a", "b", "c"]]), np.arange(3)):
        with pytest.raises(ValueError, match="class_names is .*; expected texts"):
            class_shares(KEEP, LABELS, names)


def test_a_class_without_samples_is_left_out_and_equal_names_get_numbers():
    shares = class_shares(KEEP, LABELS, ("crane", "b", "crane", "none"))
    assert shares == {"crane 0": 1.0, "b": 0.5, "crane 2": 0.25}
    assert class_shares(np.zeros(0, bool), np.zeros(0, int)) == {}


def test_the_extremes_are_named():
    words = describe_kept(KEEP, SHARES)
    assert words == "4 of 8 samples; of a class 25.0 % (c) to 100.0 % (a)"
    assert describe_kept(KEEP, {"a": 0.5}) == "4 of 8 samples"


@pytest.mark.errors
@pytest.mark.parametrize(
    "keep, labels, message",
    [
        (KEEP[:3], LABELS, r"class_shares: keep is bool of shape \(3,\)"),
        (KEEP, LABELS + 2, r"class_shares: labels\[3\] is 4; expected 0 to 3"),
        (KEEP, LABELS / 2, "class_shares: labels have dtype float64"),
    ],
)
def test_what_does_not_fit_is_named(keep, labels, message):
    with pytest.raises(ValueError, match=message):
        class_shares(keep, labels, ("a", "b", "c", "d"))
