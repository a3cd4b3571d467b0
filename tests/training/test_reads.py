"""What methods look at, as their formulas have it."""

import jax
import jax.numpy as jnp
import pytest

from kdjax.methods import METHODS
from kdjax.training.reads import reads
from kdjax.types import Outputs

SAID = Outputs(
    jax.ShapeDtypeStruct((2, 5), jnp.float32),
    {"members": jax.ShapeDtypeStruct((2, 3, 5), jnp.float32)},
)
WARM = {"base": 4.0, "spread": 4.0}


@pytest.mark.parametrize(
    "name, arguments, expected",
    [
        ("kd", {"alpha": 1.0, "temperature": 1.0}, ""),
        ("kd", {"alpha": 1.0, "temperature": float("inf")}, ""),
        ("kd", {"alpha": 0.9, "temperature": 1.0}, "label"),
        ("mse", {}, ""),
        ("mse", {"alpha": 0.5}, "label"),
        ("smooth_l1", {}, ""),
        ("noisy_teacher", {}, ""),
        ("ensemble", {}, ""),
        ("dtd_flsw", WARM, ""),
        ("dtd_flsw", WARM | {"memory_decay": 0.9, "num_examples": 9}, "index"),
        ("dtd_flsw", WARM | {"eta": 0.8}, "label"),
        ("dtd_cwsm", {}, ""),
        ("dtd_la", WARM, "label"),
        ("ka_ps", {"temperature": 4.0}, "label"),
        ("ka_lsr", {"temperature": 4.0}, "label"),
        ("lr_kl", {"temperature": 4.0}, "label"),
        ("lr_mse", {}, "label"),
        ("ce", {}, "label"),
        ("gce", {}, "label"),
        ("elr", {"num_examples": 9, "num_classes": 5}, "label index"),
    ],
)
def test_labels_and_indices_are_found_where_the_formula_has_them(
    name, arguments, expected
):
    assert reads(METHODS[name].build(**arguments), SAID, SAID) == set(expected.split())
