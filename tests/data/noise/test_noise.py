"""What holds for every model: the same bits for ever, labels stay labels, errors."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.data.loaders.sampler import permutation
from kdjax.data.noise import NOISES, describe
from tests.data.noise.examples import (
    CLASSES,
    MOVES,
    assert_binomial,
    following,
    labels_of,
    noisy_of,
)

MODELS = pytest.mark.parametrize("name", CLASSES)


@MODELS
def test_rate_0_changes_nothing(name):
    label = labels_of(CLASSES[name], 10)
    np.testing.assert_array_equal(noisy_of(name, label, rate=0.0), label)


@MODELS
def test_pure_in_the_seed(name):
    label = labels_of(CLASSES[name], 40)
    cached = label.copy()
    one, again, other = (noisy_of(name, label, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(one, noisy_of(name, label.astype(np.int64), seed=1))
    # Independent choices of 0.4 would both take a sample with probability 0.16.
    moved, both = (one != label).mean(), ((one != label) & (other != label)).mean()
    assert moved > 0.15 and abs(both - moved**2) < 0.1
    np.testing.assert_array_equal(label, cached)


@MODELS
def test_a_higher_rate_adds_to_a_lower_one(name):
    label = labels_of(CLASSES[name], 40)
    low, high = noisy_of(name, label, rate=0.2), noisy_of(name, label, rate=0.6)
    changed = low != label
    np.testing.assert_array_equal(low[changed], high[changed])
    assert (high != label).sum() > 2 * changed.sum()


def philox(seed, stream, count):
    """Philox4x64-10 in whole numbers, Salmon et al. 2011; counters from 1 on."""
    words, full = [], 2**64
    for counter in range(1, count // 4 + 2):
        c, k = [counter, 0, 0, 0], [seed, stream]
        for _ in range(10):
            a, b = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
            c = [b // full ^ c[1] ^ k[0], b % full, a // full ^ c[3] ^ k[1], a % full]
            k = [(k[0] + 0x9E3779B97F4A7C15) % full, (k[1] + 0xBB67AE8584CAA73B) % full]
        words += c
    return words[:count]


def test_bits_and_their_use_never_change():
    label, n = np.arange(24, dtype=np.int32) % 5, 24
    pick, replace = philox(888, 2**63, n), philox(888, 2**63 + 1, n)
    expected = label.tolist()
    for i in sorted(range(n), key=pick.__getitem__)[:10]:  # round(0.4 * 24)
        expected[i] = replace[i] % 5
    assert NOISES["symmetric"](label, 5, rate=0.4).tolist() == expected

    expected = label.tolist()
    for k in range(5):
        members = [i for i in range(n) if label[i] == k]
        bits = philox(888, 2**63 + 2 + k, len(members))
        order = sorted(range(len(members)), key=bits.__getitem__)
        for i in order[: round(0.4 * len(members))]:
            expected[members[i]] = (k + 1) % 5
    assert NOISES["pair_flip"](label, 5, rate=0.4).tolist() == expected

    moved = [word < 0.4 * 2**64 for word in pick]
    expected = [
        (k + 1) % 5 if m else k for k, m in zip(label.tolist(), moved, strict=True)
    ]
    actual = NOISES["asymmetric_cifar100"](label, 100, rate=0.4)
    assert actual.tolist() == expected


@pytest.mark.parametrize("epoch", range(3))
def test_noise_is_not_the_order_of_samples(epoch):
    # Were the streams shared, the wrong labels would all come first in the epoch.
    label = labels_of(7)
    wrong = noisy_of("symmetric", label, seed=5, exclude_true=True) != label
    first = permutation(5, epoch, len(label))[: len(label) // 2]
    assert_binomial(wrong[first].sum(), len(first), 0.4)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_labels_stay_labels(data):
    name = data.draw(st.sampled_from(sorted(CLASSES)))
    free = name in ("symmetric", "pair_flip")
    classes = data.draw(st.integers(2, 12)) if free else CLASSES[name]
    label = data.draw(st.lists(st.integers(0, classes - 1), max_size=40))
    label = np.array(label, np.int32)
    rate, seed = data.draw(st.floats(0, 1)), data.draw(st.integers(0, 2**63 - 1))
    noisy = NOISES[name](label, classes, rate=rate, seed=seed)
    assert noisy.dtype == np.int32 and noisy.shape == label.shape
    assert ((noisy >= 0) & (noisy < classes)).all()
    target = {
        "symmetric": {},
        "pair_flip": {k: (k + 1) % classes for k in range(classes)},
        "asymmetric_cifar10": MOVES,
    }
    target = target[name] if name in target else following(name)
    for old, new in zip(label.tolist(), noisy.tolist(), strict=True):
        assert name == "symmetric" or new in (old, target.get(old, old))


def test_described():
    label = labels_of(10, 100)
    noisy = noisy_of("asymmetric_cifar10", label)
    facts = describe(label, noisy, 10, name="asymmetric_cifar10", rate=0.4)
    assert json.loads(json.dumps(facts)) == facts
    changed = facts.pop("changed_per_class")
    assert changed == [0, 0, 41, 41, 42, 42, 0, 0, 0, 44]  # 0.4 of 102, ..., 105, 109
    assert facts.pop("effective_rate") == sum(changed) / len(label)
    encoded = b"".join(int(k).to_bytes(4, "little") for k in noisy)
    assert facts.pop("sha256") == hashlib.sha256(encoded).hexdigest()
    expected = {"rate": 0.4, "seed": 888, "in_place": False}
    assert facts == {"name": "asymmetric_cifar10"} | expected


def test_described_without_a_thousand_counts():
    label = np.arange(1000)
    facts = describe(label, label, 1000, name="file", path="labels.npy")
    assert set(facts) == {"name", "path", "effective_rate", "sha256"}
    assert facts["effective_rate"] == 0.0


@pytest.mark.errors
@MODELS
@pytest.mark.parametrize(
    "changed, message",
    [
        ({"rate": 1.5}, "rate is 1.5; expected a number from 0 to 1"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"seed": -1}, "seed is -1; expected 0 to 9223372036854775807"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"labels": np.array([0, -1])}, r"labels\[1\] is -1"),
        ({"labels": np.array([0, 1000])}, r"labels\[1\] is 1000"),
        ({"labels": np.zeros((2, 1), np.int32)}, r"labels are int32 of shape \(2, 1\)"),
        ({"labels": np.zeros(2)}, "labels are float64"),
        ({"num_classes": 1}, "num_classes is 1; expected"),
    ],
)
def test_refused(name, changed, message):
    given = {"labels": np.zeros(2, np.int32), "num_classes": CLASSES[name]}
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        NOISES[name](**given | {"rate": 0.4} | changed)


@pytest.mark.errors
@pytest.mark.parametrize("name", sorted(n for n in CLASSES if "cifar" in n))
def test_made_for_one_set(name):
    expected = f"num_classes is 20; expected {CLASSES[name]}.*pair_flip fit any set"
    with pytest.raises(ValueError, match=expected):
        NOISES[name](np.zeros(2, np.int32), 20, rate=0.1)
