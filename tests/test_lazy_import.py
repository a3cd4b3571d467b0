"""Names that are imported when they are asked for, and what that costs."""

import importlib
import inspect
import json
import subprocess
import sys

import pytest

import kdjax
from kdjax.lazy_import import LazyTable
from kdjax.methods import METHODS
from kdjax.models import MODELS


def imported_by(program: str) -> set[str]:
    """Modules that a program in a process of its own has imported."""
    program += "; import json, sys; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_kdjax_alone_imports_nothing_else():
    modules = imported_by("import kdjax; dir(kdjax); kdjax.__version__")
    assert {m for m in modules if m.startswith("kdjax")} == {
        "kdjax",
        "kdjax.lazy_import",
    }
    assert not {"jax", "numpy", "flax"} & modules


def test_losses_and_supervision_come_with_jax_and_what_is_asked_for():
    modules = imported_by(
        "import kdjax, numpy as np; z = np.ones((2, 3), np.float32); "
        "kdjax.losses.kl_divergence(z, z, 1.0); kdjax.supervision.fixed(4.0)"
    )
    assert {"jax", "kdjax.losses.logits", "kdjax.supervision.pipeline"} <= modules
    others = "losses.robust supervision.revision supervision.memory methods models"
    assert not {f"kdjax.{name}" for name in others.split()} & modules
    assert not {"flax", "optax"} & modules


def test_tables_name_methods_and_models_without_importing_them():
    modules = imported_by(
        "from kdjax.methods import METHODS; from kdjax.models import MODELS; "
        "list(METHODS), list(MODELS), 'kd' in METHODS, 'x' in MODELS, len(MODELS)"
    )
    ours = {m for m in modules if m.startswith(("kdjax.methods.", "kdjax.models."))}
    assert not ours and "flax" not in modules
    modules = imported_by("from kdjax.methods import METHODS; METHODS['kd'].build")
    ours = {m for m in modules if m.startswith("kdjax.methods.")}
    shared = {f"kdjax.methods.{n}" for n in "base denominators terms".split()}
    assert ours == {"kdjax.methods.kd"} | shared


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_the_module_of_its_name(name):
    assert METHODS[name] is importlib.import_module(f"kdjax.methods.{name}")
    assert callable(METHODS[name].build)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_a_builder(name):
    assert {"num_classes", "dtype"} <= set(inspect.signature(MODELS[name]).parameters)


@pytest.mark.parametrize("room", ["losses", "supervision", "methods", "models"])
def test_every_public_name_can_be_imported(room):
    package = getattr(kdjax, room)
    assert len(package.__all__) == len(set(package.__all__)) and package.__all__
    own = ("METHODS", "MODELS", "create", "provided")  # not imported when asked for
    for name in package.__all__:
        assert getattr(package, name).__module__.startswith("kdjax.")
        assert name in dir(package) or name in own


@pytest.mark.parametrize("room", ["losses.limits", "losses.logits", "losses.robust"])
def test_no_public_loss_is_left_out(room):
    module = importlib.import_module(f"kdjax.{room}")
    public = {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert public <= set(kdjax.losses.__all__)


def test_entries_are_imported_strings_or_themselves():
    table = LazyTable({"module": "json", "function": "json:dumps", "value": 3})
    assert table["module"] is json and table["function"] is json.dumps
    assert table["value"] == 3 and table.get("nothing") is None
    assert list(table) == ["module", "function", "value"] and len(table) == 3
    with pytest.raises(TypeError):
        table["new"] = "json"


@pytest.mark.errors
def test_what_is_not_in_a_package_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match="module 'kdjax' has no attribute 'train_'"
    ):
        _ = kdjax.train_
    with pytest.raises(ImportError):
        from kdjax.losses import kl_divergance  # noqa: F401
    assert not hasattr(kdjax.supervision, "dynamic")
    with pytest.raises(KeyError):
        METHODS["none"]
