"""What README and docs show runs as it stands, and their links lead somewhere."""

import functools
import importlib.util
import pathlib
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from kdjax.__main__ import COMMANDS
from kdjax.methods import METHODS
from tests.networks import Linear
from tests.objectives import signals
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

ROOT = pathlib.Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "launch/README.md", "benchmarks/RESULTS.md"]
PAGES += [
    str(path.relative_to(ROOT))
    for pattern in ("docs/*.md", "configs/*/*.md")
    for path in sorted(ROOT.glob(pattern))
]


def block(page, number=0):
    """A block of Python of the page."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    return blocks[number]


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
    exec(block("README.md"), names)

    # d/dz of 0.9 tau^2 KL + 0.1 CE is 0.9 tau (q - p) + 0.1 (softmax(z) - onehot).
    def softmax(z):
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    z = batch["image"].astype(np.float64) @ params
    soft = 4.0 * (softmax(z / 4) - softmax(batch["teacher"] / 4.0))
    hard = softmax(z) - np.eye(3)[batch["label"]]
    wanted = batch["image"].T @ (0.9 * soft + 0.1 * hard) / 4
    np.testing.assert_allclose(names["gradients"], wanted, rtol=1e-4, atol=1e-5)


def test_the_example_from_python_runs(tmp_path, monkeypatch, capsys):
    """On few images, for one epoch, and with a small teacher."""
    monkeypatch.chdir(tmp_path)
    labels = np.arange(128) % 4
    images = np.random.default_rng(0).integers(0, 256, (128, 8, 8, 3), np.uint8)
    names = {"images": images, "labels": labels}
    names["MyFlaxModule"] = functools.partial(Linear, 4)
    names |= {"test_images": images[:40], "test_labels": labels[:40]}
    text = re.sub(r"epochs=\d+", "epochs=1", block("README.md", 1))
    exec(text.replace('"resnet20"', "MyFlaxModule()"), names)
    top1, shape = capsys.readouterr().out.split(" ", 1)
    assert 0 <= float(top1) <= 100 and shape.strip() == "(40, 4)"


def test_the_rules_example_puts_the_label_on_top():
    names = {
        "signals": signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS),
    }
    exec(block("docs/losses.md"), names)
    supervision = names["supervision"]
    np.testing.assert_array_equal(np.argmax(supervision.logits, -1), GOLDEN_LABELS)
    np.testing.assert_array_equal(np.argmax(supervision.target, -1), GOLDEN_LABELS)
    np.testing.assert_allclose(np.mean(supervision.temperature), 4.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("number", "function"),
    [(0, "of_linen"), (0, "of_nnx"), (0, "of_equinox"), (1, "linear")],
)
def test_the_network_examples_run(number, function):
    class InNNX(nnx.Module):
        def __init__(self, num_classes, *, rngs):
            self.head = nnx.Linear(16, num_classes, rngs=rngs)

        def __call__(self, images):
            return self.head(images.reshape(len(images), -1))

    def in_equinox(num_classes, *, key):
        flat, head = eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(16, num_classes, key=key)
        return eqx.nn.Sequential([flat, head])

    names = {"MyLinenModule": Linear, "MyNNXModule": InNNX}
    names["MyEquinoxModule"] = in_equinox
    exec(block("docs/networks.md", number), names)
    network = names[function](num_classes=7)
    images = jnp.ones((2, 4, 4, 1))
    with jax.numpy_rank_promotion("allow"):
        variables = network.init(jax.random.key(0), images)
        evaluated = network.evaluate(*variables, images)
        trained, _ = network.train(*variables, images, jax.random.key(1))
    assert evaluated.logits.shape == (2, 7)
    np.testing.assert_allclose(evaluated.logits, trained.logits, rtol=1e-5)


def test_the_examples_of_training_from_python_run(tmp_path, monkeypatch, capsys):
    """On few images, for one epoch, with small networks and one seed."""
    monkeypatch.chdir(tmp_path)
    labels = np.arange(32) % 4
    images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 3), np.uint8)
    names = {"images": images, "labels": labels}
    names |= {"test_images": images, "test_labels": labels}
    names |= dict.fromkeys(("MyTeacher", "MyStudent"), Linear(4))
    text = re.sub(r"epochs=\d+", "epochs=1, batch_size=16", block("docs/training.md"))
    exec(text.replace("(0, 1, 2)", "(0,)"), names)
    assert len(names["results"]) == 2
    printed = capsys.readouterr().out.splitlines()[-2:]
    for line, temperature in zip(printed, ("1.0", "4.0"), strict=True):
        assert line.startswith(f"{{'method.temperature': '{temperature}'}}")
        assert line.endswith(" None 1")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            path = (ROOT / page).parent / target
            assert path.exists(), f"{page} links {target}, which does not exist"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 6000


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_shown_exists(page):
    text = (ROOT / page).read_text()
    for command in re.findall(r"python -m kdjax (\w+)", text):
        assert command in COMMANDS
    for config in re.findall(r"--config=(configs/[^\s:`]+)", text):
        assert (ROOT / config).exists(), config


def test_the_table_of_methods_is_made_of_the_code():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = (ROOT / "docs/methods.md").read_text()
    assert generate.with_table(text) == text, "run python docs/generate.py"
    for name in METHODS:
        assert f"| [`{name}`](../kdjax/methods/{name}.py) |" in text
