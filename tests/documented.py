"""The pages of the documentation, and what their blocks of Python need to run here.

The blocks of a page run in order in one namespace, as a reader would type them; one
whose heading ends with the name of a file runs as that file, on its own. What stands
for the reader's own network and data, and what makes a block short enough for a test,
is in PAGES; a page that is not there gets nothing, and runs as it stands.
"""

import inspect
import io
import pathlib
import re
import sys
import types
from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.data.jpegs import encode, picture
from tests.networks import Linear

ROOT = pathlib.Path(__file__).parent.parent
PATTERNS = ("*.md", "launch/*.md", "benchmarks/*.md", "docs/*.md", "configs/*/*.md")
NAMES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in PATTERNS
    for path in ROOT.glob(pattern)
)
HEADING = re.compile(r"^##+ .*$", re.M)
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.S | re.M)
CLASSES = 4


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int  # of the page, where its text begins
    file: str  # that it is the whole of; "" if it is none


class Page(NamedTuple):
    """What the blocks of a page get, and what they have to give."""

    names: Callable[[pathlib.Path], dict] = lambda directory: {}
    shorter: tuple[tuple[str, str], ...] = ()  # (pattern, text) of what is replaced
    # After each block: its number, the namespace, what it printed.
    check: Callable[[int, dict, str], Any] = lambda number, names, printed: None


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str) -> list[Block]:
    text = text_of(page)
    found = []
    for match in FENCE.finditer(text):
        above = text[: match.start(2)]
        file = re.search(r"`(\S+\.py)`$", "".join(HEADING.findall(above)[-1:]))
        line = above.count("\n") + 1
        found.append(Block(match[1], match[2], line, file[1] if file else ""))
    return found


def python_blocks(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


def run(page: str, directory: pathlib.Path) -> None:
    """Runs the blocks of a page, each checked by what stands for it in PAGES."""
    with pytest.MonkeyPatch.context() as modules:
        _run(page, directory, modules)


def _module(file: str, modules: pytest.MonkeyPatch) -> dict:
    """The names of a new module, which later files of the page can import."""
    name = file.removesuffix(".py").replace("/", ".")
    modules.setitem(sys.modules, name, types.ModuleType(name))
    return vars(sys.modules[name])


def _run(page: str, directory: pathlib.Path, modules: pytest.MonkeyPatch) -> None:
    about = PAGES.get(page, Page())
    names = {"__name__": "page"} | about.names(directory)
    for number, block in enumerate(python_blocks(page)):
        text = block.text
        for pattern, instead in about.shorter:
            text = re.sub(pattern, instead, text)
        # Lines of a traceback are those of the page.
        code = compile("\n" * (block.line - 1) + text, ROOT / page, "exec")
        printed = io.StringIO()
        with readers_jax(), redirect_stdout(printed):
            own = _module(block.file, modules) if block.file else names
            exec(code, own)
            names |= own
            about.check(number, names, printed.getvalue())


@contextmanager
def readers_jax():
    """JAX's usual promotion, and not the strict one of the tests."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def _arrays() -> dict:
    labels = np.arange(128) % CLASSES
    images = np.random.default_rng(0).integers(0, 256, (128, 8, 8, 3), np.uint8)
    tests = {"test_images": images[:40], "test_labels": labels[:40]}
    return {"images": images, "labels": labels} | tests


class MyFlaxModule(Linear):
    """The reader's own, which the pages make without arguments."""

    classes: int = CLASSES


def _readme(directory: pathlib.Path) -> dict:
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.normal(size=(4, 6)).astype(np.float32),
        "teacher": rng.normal(size=(4, 3)).astype(np.float32),
        "label": np.array([0, 1, 2, 1]),
    }
    params = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)
    network = {"params": params, "apply": lambda params, image: image @ params}
    return {"batch": batch, "MyFlaxModule": MyFlaxModule} | network | _arrays()


def _check_readme(number: int, names: dict, printed: str) -> None:
    if number == 1:
        top1, shape = printed.split(" ", 1)
        assert 0 <= float(top1) <= 100 and shape.strip() == f"(40, {CLASSES})"
        return

    # d/dz of 0.9 tau^2 KL + 0.1 CE is 0.9 tau (q - p) + 0.1 (softmax(z) - onehot).
    def softmax(z):
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    batch = names["batch"]
    z = batch["image"].astype(np.float64) @ np.float64(names["params"])
    soft = 4.0 * (softmax(z / 4) - softmax(batch["teacher"] / 4.0))
    hard = softmax(z) - np.eye(3)[batch["label"]]
    wanted = batch["image"].T @ (0.9 * soft + 0.1 * hard) / 4
    np.testing.assert_allclose(names["gradients"], wanted, rtol=1e-4, atol=1e-5)


def _photos(directory: pathlib.Path) -> dict:
    """A folder `photos` of the reader's: two classes, no split."""
    for number in range(24):
        folder = directory / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(encode(picture(32, 32, number)))
    return {}


def _check_own_images(number: int, names: dict, printed: str) -> None:
    if "student" not in names:  # the module of one's own networks
        sys.modules["my_nets"] = types.ModuleType("my_nets")
        vars(sys.modules["my_nets"]).update(names)
        return
    assert 0 <= float(printed) <= 100
    teacher, student = names["teacher"], names["student"]
    assert teacher.data["class_names"] == student.data["class_names"] == ["cat", "dog"]


def _check_losses(number: int, names: dict, printed: str) -> None:
    """The rules put the label on top, and a temperature is each sample's own."""
    if "supervision" in names:
        result, labels = names["supervision"], names["labels"][names["index"]]
        np.testing.assert_array_equal(np.argmax(result.logits, -1), labels)
        np.testing.assert_array_equal(np.argmax(result.target, -1), labels)
        assert np.ptp(result.temperature) > 0.1 and names["value"] < 20
        assert (np.asarray(names["memory"]["table"]) > 0).all()


class InNNX(nnx.Module):
    def __init__(self, num_classes, *, rngs):
        self.head = nnx.Linear(16, num_classes, rngs=rngs)

    def __call__(self, images):
        return self.head(images.reshape(len(images), -1))


def _in_equinox(num_classes, *, key):
    flat, head = eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(16, num_classes, key=key)
    return eqx.nn.Sequential([flat, head])


def _networks(directory: pathlib.Path) -> dict:
    flax = {"MyLinenModule": Linear, "MyNNXModule": InNNX}
    return flax | {"MyEquinoxModule": _in_equinox}


def _check_networks(number: int, names: dict, printed: str) -> None:
    """Nothing of these networks depends on the mode, so both agree."""
    images = jnp.ones((2, 4, 4, 1))
    for name in (("of_linen", "of_nnx", "of_equinox"), ("linear",))[number]:
        network = names[name](num_classes=7)
        variables = network.init(jax.random.key(0), images)
        evaluated = network.evaluate(*variables, images)
        trained, _ = network.train(*variables, images, jax.random.key(1))
        assert evaluated.logits.shape == (2, 7)
        np.testing.assert_allclose(evaluated.logits, trained.logits, rtol=1e-5)
        if name == "linear":  # the page's own code, which `export` takes
            (batch,) = jax.export.symbolic_shape("batch")
            images = jax.ShapeDtypeStruct((batch, 4, 4, 1), jnp.float32)
            assert jax.eval_shape(network.evaluate, *variables, images)


def _training(directory: pathlib.Path) -> dict:
    arrays = {name: one[:32] for name, one in _arrays().items()}
    return arrays | dict.fromkeys(("MyTeacher", "MyStudent"), MyFlaxModule())


def _check_training(number: int, names: dict, printed: str) -> None:
    lines = printed.splitlines()[-2:]
    for line, temperature in zip(lines, ("1.0", "4.0"), strict=True):
        assert line.startswith(f"{{'method.temperature': '{temperature}'}}")
        assert line.endswith(" None 1")  # no deviation of one seed


def _check_reuse(number: int, names: dict, printed: str) -> None:
    """The step of each loop lowers its loss."""
    if "train_step" in names:
        step = names["train_step"]
        again = step(*(names[one] for one in inspect.signature(step).parameters))
        lower = again[-1] if isinstance(again, tuple) else again
        assert np.isfinite(names["value"]) and lower < names["value"]


def _check_paper(number: int, names: dict, printed: str) -> None:
    """The page's own test, and a gradient by differences: q is on both sides."""
    if number == 0:
        return
    names["test_the_objective"](), names["test_arguments_out_of_range"]()
    given, method = names["given"], names["build"](alpha=1.0, temperature=2.0)
    rng = np.random.default_rng(1)
    student, teacher = given.outputs(rng, 3), given.outputs(rng, 3)

    def value(logits):
        pair = student._replace(logits=logits), teacher
        inputs = given.loss_inputs(method, *pair, np.array([0, 1, 2]))
        return method.terms[0].values(inputs).sum()

    def exactly(z):
        q, p = names["softmax"](z / 2), names["softmax"](teacher.logits / 2.0)
        return 4 * (q * np.log(q / p)).sum()

    gradient, z = jax.jit(jax.grad(value))(student.logits), np.float64(student.logits)
    for i, j in ((0, 0), (1, 3), (2, 4)):
        step = np.zeros_like(z)
        step[i, j] = 1e-5
        slope = (exactly(z + step) - exactly(z - step)) / 2e-5
        np.testing.assert_allclose(gradient[i, j], slope, rtol=1e-3, atol=1e-5)


# Of few small images, on as many devices as the tests have.
SHORT_OF_FOLDERS = (
    ("epochs=60", "epochs=1, batch_size=8"),
    ('"resnet18"', "SmallNet(2)"),
)
SHORT_SWEEP = ((r"epochs=\d+", "epochs=1, batch_size=16"), (r"\(0, 1, 2\)", "(0,)"))
SHORT_RUNS = ((r"epochs=\d+", "epochs=1"), ('"resnet20"', "MyFlaxModule()"))
PAGES = {
    "README.md": Page(_readme, SHORT_RUNS, _check_readme),
    "docs/data.md": Page(_photos),
    "docs/own_images.md": Page(_photos, SHORT_OF_FOLDERS, _check_own_images),
    "docs/losses.md": Page(check=_check_losses),
    "docs/networks.md": Page(_networks, (), _check_networks),
    "docs/training.md": Page(_training, SHORT_SWEEP, _check_training),
    "docs/reuse.md": Page(check=_check_reuse),
    "docs/add_a_paper.md": Page(check=_check_paper),
}
