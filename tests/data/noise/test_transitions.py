"""Transition matrices as stated; exact counts where they are exact."""

import numpy as np
import pytest

from tests.data.noise.examples import (
    MOVES,
    assert_binomial,
    following,
    labels_of,
    noisy_of,
)


def matrix(label, noisy, classes):
    """Samples by class before and class after."""
    flat = np.bincount(label * classes + noisy, minlength=classes**2)
    return flat.reshape(classes, classes)


@pytest.mark.parametrize("exclude_true", [False, True])
def test_symmetric_transitions(exclude_true):
    label, classes, rate = labels_of(7, 3000), 7, 0.4
    noisy = noisy_of("symmetric", label, exclude_true=exclude_true)
    other = rate / (classes - 1) if exclude_true else rate / classes
    stay = 1 - (classes - 1) * other
    expected = np.full((classes, classes), other) + np.eye(classes) * (stay - other)
    actual = matrix(label, noisy, classes)
    assert_binomial(actual, np.bincount(label)[:, None], expected)
    changed, picked = (label != noisy).sum(), round(rate * len(label))
    if exclude_true:
        assert changed == picked
    else:
        # Of those picked a seventh draws its own class: 0.343 of the labels is wrong.
        assert_binomial(changed, picked, (classes - 1) / classes)


def exact(label, classes, target, rate):
    sizes = np.bincount(label, minlength=classes)
    expected = np.diag(sizes)
    for old, new in target.items():
        expected[old, old] -= round(rate * sizes[old])
        expected[old, new] += round(rate * sizes[old])
    return expected


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 1.0])
def test_cifar10_pairs_are_exact(rate):
    label = labels_of(10)
    noisy = noisy_of("asymmetric_cifar10", label, rate=rate)
    expected = exact(label, 10, MOVES, rate)
    np.testing.assert_array_equal(matrix(label, noisy, 10), expected)


@pytest.mark.parametrize("rate", [0.0, 0.45, 1.0])
def test_pair_flips_are_exact(rate):
    label = labels_of(7)
    noisy = noisy_of("pair_flip", label, rate=rate)
    expected = exact(label, 7, {k: (k + 1) % 7 for k in range(7)}, rate)
    np.testing.assert_array_equal(matrix(label, noisy, 7), expected)


def test_in_place_some_cats_turn_back():
    label, rate = np.repeat(np.arange(10, dtype=np.int32), 5000), 0.4
    actual = matrix(label, noisy_of("asymmetric_cifar10", label, in_place=True), 10)
    for old, new in ((9, 1), (2, 0), (4, 7)):
        assert actual[old, new] == 2000 and actual[old, old] == 3000
    # 2000 cats join 5000 dogs and 2800 of the 7000 become cats: dogs in proportion.
    assert actual[5, 3] + (2000 - actual[3, 5]) == 2800
    assert_binomial(actual[3, 5], 5000, rate * (1 - rate))
    assert_binomial(actual[5, 3], 5000, rate)
    assert abs((label != noisy_of("asymmetric_cifar10", label)).mean() - 0.2) < 1e-9
    assert abs(1 - np.trace(actual) / 50_000 - 0.184) < 0.002


def test_in_place_at_rate_1():
    noisy = noisy_of("asymmetric_cifar10", np.arange(10), rate=1.0, in_place=True)
    assert noisy.tolist() == [0, 1, 0, 3, 7, 3, 6, 7, 8, 1]


@pytest.mark.parametrize("name", ["asymmetric_cifar100", "superclass_cifar100"])
def test_cifar100_transitions(name):
    label, rate = labels_of(100, 300), 0.4
    noisy = noisy_of(name, label)
    expected = np.eye(100) * (1 - rate)
    for old, new in following(name).items():
        expected[old, new] = rate
    assert_binomial(matrix(label, noisy, 100), np.bincount(label)[:, None], expected)
    assert_binomial((label != noisy).sum(), len(label), rate)


@pytest.mark.parametrize("name", ["asymmetric_cifar100", "superclass_cifar100"])
def test_cifar100_at_rate_1(name):
    noisy = noisy_of(name, np.arange(100), rate=1.0)
    assert dict(enumerate(noisy.tolist())) == following(name)
