"""What the README shows runs as it stands, and its links lead somewhere."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.__main__ import COMMANDS
from tests.networks import Linear
from tests.objectives import signals
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

ROOT = pathlib.Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "launch/README.md"]
PAGES += ["benchmarks/RESULTS.md"]
PAGES += [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("configs/*/*.md"))]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def test_the_losses_example_runs_and_its_gradient_is_right():
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.normal(size=(4, 6)).astype(np.float32),
        "teacher": rng.normal(size=(4, 3)).astype(np.float32),
        "label": np.array([0, 1, 2, 1]),
    }
    params = rng.normal(size=(6, 3)).astype(np.float32)
    names = {"params": jnp.asarray(params), "batch": batch}
    names["apply"] = lambda params, image: image @ params
    exec(BLOCKS[0], names)

    # d/dz of 0.9 tau^2 KL + 0.1 CE is 0.9 tau (q - p) + 0.1 (softmax(z) - onehot).
    def softmax(z):
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    z = batch["image"].astype(np.float64) @ params
    soft = 4.0 * (softmax(z / 4) - softmax(batch["teacher"] / 4.0))
    hard = softmax(z) - np.eye(3)[batch["label"]]
    wanted = batch["image"].T @ (0.9 * soft + 0.1 * hard) / 4
    np.testing.assert_allclose(names["gradients"], wanted, rtol=1e-4, atol=1e-5)


def test_the_rules_example_puts_the_label_on_top():
    names = {
        "signals": signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS),
    }
    exec(BLOCKS[1], names)
    supervision = names["supervision"]
    np.testing.assert_array_equal(np.argmax(supervision.logits, -1), GOLDEN_LABELS)
    np.testing.assert_array_equal(np.argmax(supervision.target, -1), GOLDEN_LABELS)
    np.testing.assert_allclose(np.mean(supervision.temperature), 4.0, rtol=1e-5)


def test_the_network_example_runs():
    names = {"MyModule": Linear}
    exec(BLOCKS[2], names)
    network = names["my_function"](num_classes=7)
    images = jnp.ones((2, 4, 4, 1))
    variables = network.init(jax.random.key(0), images)
    assert network.evaluate(*variables, images).logits.shape == (2, 7)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            path = (ROOT / page).parent / target
            assert path.exists(), f"{page} links {target}, which does not exist"


def test_every_command_that_is_shown_exists():
    text = (ROOT / "README.md").read_text()
    for command in re.findall(r"python -m kdjax (\w+)", text):
        assert command in COMMANDS
    for config in re.findall(r"--config=([^\s:]+)", text):
        assert (ROOT / config).exists(), config
