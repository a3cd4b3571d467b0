"""The names under which the terms of every method are logged: keys of metrics.jsonl."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.methods import METHODS
from kdjax.methods.coefficients import decayed, warmed
from tests.methods import field

PEERS = {"noise_rate": 0.4, "steps_per_epoch": 390.6}
DIVIDED = {"num_classes": 10, "steps_per_epoch": 390.6, "warmup_epochs": 10}
NAMES = [
    ("ce", {}, "hard_label"),
    ("kd", {"alpha": 0.9, "temperature": 4}, "hard_label soft_logits"),
    ("mse", {}, "mean_squared_error"),
    ("mse", {"reduction": "sum"}, "squared_error"),
    ("smooth_l1", {"alpha": 0.5}, "hard_label smooth_l1"),
    ("ensemble", {}, "soft_logits"),
    ("ensemble", {"combine": "mean_probabilities"}, "soft_target"),
    ("chain", {"link": "ce"}, "hard_label"),
    ("chain", {"link": "kl"}, "soft_logits"),
    ("chain", {"link": "mse"}, "mean_squared_error"),
    ("born_again", {}, "soft_logits"),
    ("noisy_teacher", {}, "soft_logits"),
    ("ka_ps", {}, "soft_logits"),
    ("ka_lsr", {}, "soft_target"),
    ("dtd_flsw", {}, "soft_logits"),
    ("dtd_cwsm", {"eta": 0.8}, "soft_target"),
    ("dtd_la", {"spread": 40.0}, "soft_logits"),
    ("lr_kl", {}, "hard_label soft_target"),
    ("lr_mse", {"num_classes": 5}, "hard_label right_logits revised_probabilities"),
    ("ds", {"temperature": 4}, "label_unselected soft_logits"),
    ("lr_ds", {"num_classes": 5}, "hard_label right_logits revised_probabilities"),
    ("tickets", {"loss": "sce"}, "hard_label reverse_cross_entropy"),
    ("gce", {}, "generalized_cross_entropy"),
    ("sce", {}, "hard_label reverse_cross_entropy"),
    ("elr", {"num_examples": 5, "num_classes": 3}, "hard_label early_learning"),
    ("coteaching", PEERS, "member0 member1"),
    ("coteaching_plus", PEERS, "member0 member1"),
    ("dividemix", DIVIDED, "labelled unlabelled uniform"),
    (
        "dividemix",
        DIVIDED | {"entropy_penalty": True},
        "labelled unlabelled uniform confidence",
    ),
]
NEEDS = {"ensemble": "members", "ds": "selection", "lr_ds": "selection"}
NEEDS |= {"dividemix": "clean"}
PAIRS = {"coteaching", "coteaching_plus", "dividemix"}


@pytest.mark.parametrize("name, arguments, terms", NAMES)
def test_terms_keep_their_names(name, arguments, terms):
    method = METHODS[name].build(**arguments)
    assert " ".join(term.name for term in method.terms) == terms
    assert method.needs == ((NEEDS[name],) if name in NEEDS else ())
    assert method.networks == (2 if name in PAIRS else 1)


def test_every_method_has_its_names_here():
    assert {name for name, *_ in NAMES} | set(field.CASES) == set(METHODS)


@pytest.mark.parametrize("per_epoch", (41.0, 97.0, 50_000 / 64, 390.625, 0.75))
def test_the_first_step_of_an_epoch_has_its_weight(per_epoch):
    """Inside jit as on the host: there 41 times the float32 of 1 / 41 is below 1."""
    epochs = np.arange(1, 40)
    first = np.array([math.ceil(e * per_epoch) for e in epochs[:-1]])
    steps = np.concatenate([[0], first, first - 1]).astype(np.int32)
    counted = 1 + np.floor(np.float64(steps) / per_epoch)
    ramp = jax.jit(jax.vmap(warmed("m", 1.0, 20.0, per_epoch)))(jnp.asarray(steps))
    np.testing.assert_allclose(ramp, np.minimum(counted / 20, 1), rtol=1e-6)
    total = math.ceil(40 * per_epoch)
    last = math.floor((total - 1) / per_epoch) + 1
    fall = jax.jit(jax.vmap(decayed("m", 1.0, 10.0, per_epoch, total)))(
        jnp.asarray(steps)
    )
    done = np.clip((counted - 10) / (last - 10), 0, 1)
    np.testing.assert_allclose(fall, (1 + np.cos(np.pi * done)) / 2, atol=1e-6)
