"""The benchmark compares like with like: one number by kdjax, by hand, by PyTorch."""

import jax
import numpy as np
import pytest

from benchmarks import losses
from benchmarks.losses_by_hand import HAND, OURS, TORCH

ARRAYS = losses.inputs(8, 10)


@pytest.mark.parametrize("name", OURS)
def test_by_hand_is_the_same_loss(name):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        ours, by_hand = (np.mean(f[name](*ARRAYS)) for f in (OURS, HAND))
    np.testing.assert_allclose(ours, by_hand, rtol=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("name", TORCH)
def test_pytorch_is_the_same_loss(name):
    import torch

    student, teacher, labels = (torch.from_numpy(x) for x in ARRAYS)
    value = TORCH[name](student, teacher, labels.long())
    np.testing.assert_allclose(value, np.mean(OURS[name](*ARRAYS)), rtol=1e-4)


def test_a_row_has_the_median_of_the_ratios_of_rounds():
    runs = dict.fromkeys(("ours", "hand", "torch"), lambda: None)
    times = losses.compare(runs, rounds=4)
    assert {k: len(v) for k, v in times.items()} == {"ours": 4, "hand": 4, "torch": 2}
    ours, hand = np.array([2, 3, 8, 4, 9]) * 1e-6, np.array([2, 2, 4, 2, 3]) * 1e-6
    times = {"ours": ours, "hand": hand}
    expected = "| kl | 2x3 | 2 | 2 |  | 2.00 (1.50 to 2.00) |"
    assert losses.row("kl", (2, 3), times) == expected
