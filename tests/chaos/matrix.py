"""The runs, the kills, and what the same run without one leaves."""

import dataclasses
import itertools
import json
import pathlib
import struct

import jax
import numpy as np
from ml_collections import ConfigDict
from tensorboardX.proto import event_pb2

from kdjax.checkpoints import reading
from kdjax.experiment import schema
from kdjax.reporting.reporter import read_rows
from tests.chaos.victim import POINTS
from tests.distributed.jobs import Job, by_hand, write

MODULE = ("-m", "tests.chaos.victim")
SIGNALS = ("SIGTERM", "SIGKILL")
WHO = ("single", "worker", "coordinator")
LAST = 12  # steps
RATES = ("images_per_second", "input_percent", "input_process")
TIMES = ("seconds", "time", *(f"train/{key}" for key in RATES))
ITEMS = ("variables", "training", "connectors", "ema")


@dataclasses.dataclass(frozen=True)
class Kill:
    """A signal to one process of a run, at one point of it."""

    signal: str
    who: str
    point: str

    @property
    def processes(self) -> int:
        return 1 if self.who == "single" else 2

    @property
    def victim(self) -> int:
        return int(self.who == "worker")

    def __str__(self) -> str:
        return f"{self.signal} {self.who} {self.point}"

    def expected(self) -> list[int]:
        """The exit codes of the processes."""
        unsaved = self.point in ("start-up", "compiling")
        alone = 143 if unsaved and self.who == "single" else 42
        codes = [42] * self.processes
        codes[self.victim] = -9 if self.signal == "SIGKILL" else alone
        return codes


KILLS = [Kill(*each) for each in itertools.product(SIGNALS, WHO, POINTS)]


def config(root: pathlib.Path) -> ConfigDict:
    """A student with memories, an average, momentum and statistics, in two epochs.

    Rows of two steps, of which a stop may part one; states are saved in between.
    """
    config = schema.base()
    config.model = ConfigDict({"name": "tests.networks:tiny", "width": 4})
    config.teacher.network = "tests.networks:coarse"
    config.method = ConfigDict({"name": "crd", "negatives": 32, "width": 8})
    config.data.name, config.data.data_dir = "set.npz", str(root)
    config.data.padding, config.data.flip = 1, True
    config.data.mean, config.data.std = (0.4, 0.4, 0.4), (0.2, 0.2, 0.2)
    config.batch_size, config.total_steps, config.log_every_steps = 16, LAST, 2
    config.evaluation.batch_size, config.evaluation.every_epochs = 16, 1.0
    config.checkpoint.every_steps, config.ema_decay = 4, 0.9
    config.schedule.learning_rate = 0.01
    return config


def prepare(root: pathlib.Path) -> None:
    """Writes images and config."""
    arrays, random = {}, np.random.default_rng(0)
    for split, count in (("train", 96), ("test", 37)):
        label = random.integers(0, 5, count)
        noise = (
            random.integers(0, 120, (count, 8, 8, 3)) + 25 * label[:, None, None, None]
        )
        arrays |= {f"{split}_image": noise.astype(np.uint8), f"{split}_label": label}
    np.savez(root / "set.npz", **arrays)
    write(root / "config.py", config(root))


def start(root: pathlib.Path, workdir: pathlib.Path, processes: int, **request) -> Job:
    words = ["train", f"--config={root / 'config.py'}", f"--workdir={workdir}"]
    words.append(f"--devices={2 // processes}")
    flags = by_hand(2) if processes == 2 else None
    return Job(root, words, flags=flags, module=MODULE, CHAOS=json.dumps(request))


def killed(root: pathlib.Path, kill: Kill) -> tuple[pathlib.Path, list[list[int]]]:
    """The directory of a run that ended after a kill, and the codes of its starts."""
    workdir = root / str(kill).replace(" ", "-")
    request = {"point": kill.point, "signal": kill.signal, "process": kill.victim}
    job = start(root, workdir, kill.processes, **request)
    codes = [job.codes(240)]
    assert codes[0] == kill.expected(), (str(kill), codes, job.text())
    while any(codes[-1]):
        assert len(codes) < 3, (str(kill), codes, job.text())
        job = start(root, workdir, kill.processes)
        codes.append(job.codes(240))
    return workdir, codes


def left(workdir: pathlib.Path) -> dict:
    """All that a finished run leaves, without what depends on time."""
    arrays = {
        f"{item}{jax.tree_util.keystr(path)}": (x.dtype.str, x.shape, x.tobytes())
        for item in ITEMS
        for path, x in jax.tree_util.tree_leaves_with_path(
            reading._read(workdir / "checkpoints", LAST, item)
        )
    }
    rows = read_rows(workdir / "metrics.jsonl")
    summary = json.loads((workdir / "summary.json").read_text())["students"]
    return {
        "arrays": arrays,
        "rows": [{k: v for k, v in row.items() if k not in TIMES} for row in rows],
        "metrics": {name: row["metrics"] for name, row in summary.items()},
        "tensorboard": scalars(workdir / "tensorboard"),
    }


def scalars(directory: pathlib.Path) -> dict[tuple[str, int], list[float]]:
    """(tag, step) -> values, as TensorBoard shows them: a start hides later steps."""
    shown: dict[tuple[str, int], list[float]] = {}
    for path in sorted(directory.iterdir()):
        for event in events(path.read_bytes()):
            if event.HasField("session_log"):
                shown = {key: x for key, x in shown.items() if key[1] < event.step}
            for value in event.summary.value:
                if not value.tag.startswith(("train/images_", "train/input_")):
                    shown.setdefault((value.tag, event.step), []).append(
                        value.simple_value
                    )
    return shown


def events(data: bytes):
    """The whole records of an event file; a reader stops at one that is torn."""
    while len(data) >= 12:
        (size,) = struct.unpack("<Q", data[:8])
        if len(data) < size + 16:
            return
        yield event_pb2.Event.FromString(data[12 : 12 + size])
        data = data[size + 16 :]


def differences(one: dict, other: dict) -> list[str]:
    """What is not the same to the last bit."""
    found = []
    for part in one:
        if repr(one[part]) != repr(other[part]):  # NaN is as good as NaN
            found.append(part)
    return found
