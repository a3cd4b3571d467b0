"""The wheel: losses and rules with jax and jaxtyping alone, the rest as an extra."""

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PROGRAM = """
import sys
import jax.numpy as jnp
from kdjax.losses import logits
from kdjax.supervision import pipeline, temperature
value = logits.kl_divergence(jnp.zeros((2, 3)), jnp.eye(3)[:2], 2.0)
assert value.shape == (2,) and (value > 0).all(), value
import kdjax
assert "bare" in kdjax.__file__, kdjax.__file__
for guest in ("flax", "optax", "orbax", "tensorflow_datasets", "ml_collections"):
    assert guest not in sys.modules, guest
    try:
        __import__(guest)
    except ImportError:
        continue
    raise SystemExit(f"{guest} can be imported: the environment is not bare")
print("ok")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the files as they are, without network."""
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source") / "kdjax"
    ignore = ("kdjax", "README.md", "LICENSE", "pyproject.toml")
    import shutil

    for name in (*ignore, *(p.name for p in ROOT.glob("requirements*.txt"))):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name)
        else:
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / name)
    command = [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps"]
    command += ["--no-build-isolation", "--quiet", "--wheel-dir", str(out)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(out.glob("kdjax-*.whl"))


def requirements(name: str, extra: str = "") -> set[str]:
    """Names that a distribution needs, without extras unless one is named."""
    found = set()
    for line in importlib.metadata.requires(name) or []:
        wanted, _, marker = line.partition(";")
        if "extra" in marker and f'"{extra}"' not in marker.replace("'", '"'):
            continue
        found.add(re.match(r"[\w.-]+", wanted).group().lower().replace("_", "-"))
    return found


def closure(names: set[str]) -> set[str]:
    seen, queue = set(), list(names)
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        seen.add(name)
        queue.extend(requirements(name))
    return seen


def test_losses_import_from_the_wheel_in_a_bare_environment(wheel, tmp_path):
    """Only what jax and jaxtyping need is linked beside the unpacked wheel."""
    bare = tmp_path / "bare"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(bare)
    for name in closure({"jax", "jaxtyping"}):
        distribution = importlib.metadata.distribution(name)
        tops = {pathlib.PurePath(file).parts[0] for file in distribution.files or []}
        for top in tops - {"..", "__pycache__"}:
            link, target = bare / top, distribution.locate_file(top)
            if not link.exists() and pathlib.Path(target).exists():
                link.symlink_to(target)
    # -I and -S: no site-packages, no PYTHONPATH, no current directory.
    program = f"import sys; sys.path.insert(0, {str(bare)!r})\n{PROGRAM}"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert result.stdout.strip() == "ok", result.stderr


def test_the_wheel_has_what_a_report_is_made_of(wheel):
    files = (ROOT / "kdjax" / "reporting" / "templates").iterdir()
    names = {str(path.relative_to(ROOT)) for path in files}
    with zipfile.ZipFile(wheel) as archive:
        assert names and names <= set(archive.namelist())


def test_the_wheel_needs_two_packages_and_train_equals_requirements(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("/METADATA")))
    lines = metadata.decode().splitlines()
    needs = [line[15:] for line in lines if line.startswith("Requires-Dist: ")]
    plain = {re.match(r"[\w-]+", n).group() for n in needs if "extra" not in n}
    assert plain == {"jax", "jaxtyping"}
    train = {n.partition(";")[0].strip() for n in needs if 'extra == "train"' in n}
    wanted = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = {line for line in wanted if line and not line.startswith("#")}

    def parse(lines):
        return {
            (re.match(r"[\w.-]+", n).group(), frozenset(re.findall(r"[<>=]+[\d.]+", n)))
            for n in lines
        }

    assert parse(train) == parse(wanted)


def test_the_embedded_images_and_their_licence_travel_together(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [pathlib.PurePath(n).name for n in archive.namelist()]
    assert any(name.endswith(".xz") for name in names)
    assert "LICENSE-fashion-mnist.txt" in names
