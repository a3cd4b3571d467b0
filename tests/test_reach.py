"""How far it is from the command to the loss: modules that are imported, calls.

The chain is printed; `pytest -s` shows it.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "kdjax"

MOST_MODULES, MOST_LINES = 110, 14_000
MOST_CALLS, MOST_FILES = 13, 9

CONFIG = """
from ml_collections import ConfigDict

from configs.fashion_mnist import common


def get_config(arg=""):
    config = common.base()
    config.model = ConfigDict({"name": "resnet8"})
    config.method = ConfigDict(
        {"name": "kd", "alpha": 0.9, "temperature": 4.0} if arg else {"name": "ce"}
    )
    config.data.name, config.data.padding, config.data.flip = "tiny.npz", 0, False
    config.data.train, config.data.test = "train", "test"
    config.batch_size, config.total_steps = 8, 1
    if arg:
        config.teacher.workdir = arg
    return config
"""


def distil(directory: str) -> None:
    """Trains a teacher for a step and distils a student for one; prints JSON."""
    from kdjax import __main__
    from kdjax.losses import logits

    train = ["train", f"--data_dir={directory}", "--devices=1"]
    config = f"--config={directory}/config.py"
    code = __main__.main([*train, config, f"--workdir={directory}/teacher"])
    assert code == 0
    modules = set(sys.modules)
    kl_divergence, chains = logits.kl_divergence, []

    def recorded(*args, **kwargs):
        frame, chain = sys._getframe(1), [(logits.__file__, "kl_divergence")]
        while frame:
            chain.append((frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        chains.append(chain)
        return kl_divergence(*args, **kwargs)

    # The second training imports what the method needs, and then the loss is replaced
    # wherever it was imported by name.
    from kdjax.methods import base, kd

    for module in (logits, base, kd):
        if getattr(module, "kl_divergence", None) is kl_divergence:
            module.kl_divergence = recorded
    code = __main__.main(
        [*train, f"{config}:{directory}/teacher", f"--workdir={directory}/student"]
    )
    assert code == 0 and chains
    modules = [m for n, m in sys.modules.items() if n.split(".")[0] == "kdjax"]
    print(json.dumps({"modules": [m.__file__ for m in modules], "chains": chains}))


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    """(files of kdjax that a step of KD imports, the calls to the loss in it)."""
    directory = tmp_path_factory.mktemp("reach")
    image = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1), dtype=np.uint8)
    label = np.arange(24, dtype=np.int64) % 3
    np.savez(
        directory / "tiny.npz",
        **{"train_image": image[:16], "train_label": label[:16]},
        **{"test_image": image[16:], "test_label": label[16:]},
    )
    (directory / "config.py").write_text(CONFIG)
    code = f"from tests.test_reach import distil; distil({str(directory)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    chain = [
        (str(pathlib.Path(file).relative_to(PACKAGE)), name)
        for file, name in reversed(result["chains"][0])
        if file.startswith(str(PACKAGE))
    ]
    return sorted(result["modules"]), chain


def test_a_step_imports_little_of_the_package(reached):
    files, _ = reached
    lines = [len(pathlib.Path(file).read_text().splitlines()) for file in files]
    print(len(files), "modules", sum(lines), "lines")
    assert len(files) <= MOST_MODULES
    assert sum(lines) <= MOST_LINES


def test_few_calls_lead_from_the_command_to_the_loss(reached):
    _, chain = reached
    print(*(f"{file}: {name}" for file, name in chain), sep="\n")
    assert chain[0][0] == "__main__.py" and chain[-1][1] == "kl_divergence"
    assert len(chain) <= MOST_CALLS
    assert len({file for file, _ in chain}) <= MOST_FILES
