"""Networks that `export` wrote as programs: whether they can be read, and what of."""

import importlib.util
import pathlib

from kdjax.doctor.findings import Findings, guarded, note, ok
from kdjax.weights import onnx_graphs, programs

STABLEHLO, ONNX = ".stablehlo", ".onnx"
NEEDS = {STABLEHLO: "flatbuffers", ONNX: "onnx"}  # the package that reads it
EXPORT = "Export it anew: python -m kdjax export WORKDIR --format="


def is_program(path: pathlib.Path) -> bool:
    return path.suffix in NEEDS


def examine_program(path: pathlib.Path, quick: bool) -> Findings:
    kind, package = path.suffix, NEEDS[path.suffix]
    if importlib.util.find_spec(package) is None:
        text = f"is called {kind}, and was not read: {package} is not installed"
        yield note(path, text, f"pip install {package}")
        return
    describe = programs.describe if kind == STABLEHLO else onnx_graphs.describe
    yield from guarded(path, f"{EXPORT}{kind[1:]}", _examine, path, describe)


def _examine(path: pathlib.Path, describe) -> Findings:
    yield ok(path, f"is {describe(str(path), path.read_bytes())}")
