"""The house rules: floors, guests, one stem per method, sizes."""

import ast
import fnmatch
import pathlib
import re
import sys

import pytest

from kdjax.methods import METHODS
from kdjax.reproduce import repdistiller

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "kdjax"
# From the ground up: a module imports its own floor and lower ones.
FLOORS = (
    "contracts lazy_import user_code signals paths types losses supervision models "
    "data datasets methods selection training distributed analysis checkpoints "
    "weights reporting caching experiment bench preflight runner sweeps reproduce "
    "doctor api cli __main__"
).split()
# Who may import what. A package that is not here may be imported by nobody.
GUESTS = {
    "jax": FLOORS,
    "jaxtyping": FLOORS,
    "numpy": FLOORS,
    "flax": ["models"],
    "equinox": ["models"],  # of a user who has it
    "optax": ["training"],
    "orbax": ["checkpoints"],
    "etils": ["checkpoints", "paths"],
    "fsspec": ["paths"],
    "tensorstore": ["runner"],  # writes on condition: the lease of a bucket
    "tensorflow_datasets": ["data", "datasets"],
    "array_record": ["data", "datasets"],  # TFDS does not let choose how it compresses
    "cv2": ["data", "datasets"],
    "grain": ["data"],
    "simplejpeg": ["data", "datasets"],
    "sklearn": ["selection"],
    "scipy": ["analysis", "selection"],
    "ml_collections": ["experiment", "cli", "sweeps", "api"],
    "tensorboardX": ["reporting"],
    "rich": ["reporting"],
    "IPython": ["reporting"],  # of a notebook that runs
    "altair": ["reporting"],
    "vl_convert": ["reporting"],
    "jinja2": ["reporting"],
    "markupsafe": ["reporting"],  # of Jinja
    "wandb": ["reporting"],  # of a user who has it, and mlflow
    "mlflow": ["reporting"],
    "safetensors": ["weights"],
    "onnx": ["weights"],
    "onnxruntime": ["weights"],
    "jax2onnx": ["weights"],
    "torch": ["weights"],  # where it is installed, to read its own files
}
MODULES = sorted(PACKAGE.rglob("*.py"))
FILES = MODULES + [
    p for d in ("benchmarks", "tests") for p in sorted((ROOT / d).rglob("*.py"))
]


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def floor_of(path: pathlib.Path) -> str | None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if part == "__init__" else part


def imports(path: pathlib.Path):
    """(line, module) of every import, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: relative import"
            for alias in node.names:
                deeper = node.module == "kdjax"
                name = f"{node.module}.{alias.name}" if deeper else node.module
                yield node.lineno, name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downwards(path):
    floor = floor_of(path)
    assert floor is None or floor in FLOORS, f"{name_of(path)}: no such floor"
    for line, module in imports(path):
        if floor and module.startswith("kdjax."):
            other = module.split(".")[1]
            assert other in FLOORS and FLOORS.index(other) <= FLOORS.index(floor), (
                f"{name_of(path)}:{line} imports {module}, a higher floor than {floor}"
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_guests_stay_where_they_belong(path):
    for line, module in imports(path):
        top = module.split(".")[0]
        if top == "kdjax" or top in sys.stdlib_module_names:
            continue
        allowed = GUESTS.get(top, [])
        assert floor_of(path) in allowed, (
            f"{name_of(path)}:{line} imports {top}; only "
            f"{', '.join(allowed) or 'nobody'}"
            " may. Move the code, or say in this test why the rule changes."
        )


def test_contributing_names_the_rooms_there_are():
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    rooms = [room for row in table for room in re.findall(r"`(\w+)/?`", row)]
    assert rooms == FLOORS[:-1]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_rooms_are_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 300, f"{name_of(path)} has {lines} lines; split it by theme"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            documented = ast.get_docstring(node) is not None
            body = node.body[1:] if documented else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 40, (
                f"{name_of(path)}:{node.lineno} {node.name} has {length} lines of code"
            )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_stands_in_four_places(method):
    # Cross entropy is how a teacher is trained; its config has that name.
    stem = "teacher" if method == "ce" else method
    configs = list((ROOT / "configs").glob(f"*/{stem}.py"))
    # The benchmark of 13 pairs is one config for all of the field's methods.
    in_benchmark = method.removesuffix("_paraphraser") in repdistiller.FIELD
    assert configs or in_benchmark, f"no configs/*/{stem}.py"
    assert (PACKAGE / "methods" / f"{method}.py").exists()
    assert (ROOT / "tests" / "methods" / f"test_{method}.py").exists()
    row = f"| [`{method}`]"
    page = "docs/methods.md"
    assert row in (ROOT / page).read_text(), f"no row of {page} starts {row}"


@pytest.mark.parametrize("method", METHODS)
def test_every_method_cites_and_says_where_it_departs(method):
    assert "Departs from the paper:" in METHODS[method].__doc__
    assert METHODS[method].REFERENCE


def test_every_requirement_is_explained():
    for path in ROOT.glob("requirements*.txt"):
        explained = False
        for line in path.read_text().splitlines():
            assert not line or line.startswith("#") or explained, f"{path}: why {line}?"
            explained = line.startswith("#") or (explained and bool(line))


def test_every_test_is_collected(pytestconfig):
    """Pytest goes into no directory named build, dist or venv, unless it is told to."""
    for pattern in pytestconfig.getini("norecursedirs"):
        for path in (ROOT / "tests").rglob("test_*.py"):
            parents = path.relative_to(ROOT).parent.parts
            assert not fnmatch.filter(parents, pattern), f"{name_of(path)}: {pattern}"
