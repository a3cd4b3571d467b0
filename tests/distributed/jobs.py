"""Starts a command in several processes of this machine, and waits for all of them."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

COMPILING = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
)
ROOT = pathlib.Path(__file__).parent.parent.parent
PLAIN, RECORDED = ("-m", "kdjax"), ("-m", "tests.distributed.worker")
TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_", "LOCAL_", "TORCHELASTIC_")
CONFIG = """
import json
from ml_collections import ConfigDict

def get_config(arg=""):
    return ConfigDict(json.loads({text!r}))
"""


class Job:
    """Processes that are one run. What they print is in files, one each."""

    def __init__(self, root, words, *, flags=None, module=PLAIN, **env):
        """Starts them.

        Args:
          root: for files.
          words: of the command, the same in all.
          flags: one list a process; None: a single process without any.
          module: what is run.
          env: more variables; a list has one value a process.
        """
        self.processes, self.logs = [], []
        for number, own in enumerate(flags if flags is not None else [[]]):
            more = {k: v[number] if isinstance(v, list) else v for k, v in env.items()}
            log = root / f"log-{time.monotonic_ns()}-{number}"
            self.logs.append(log)
            with log.open("w") as file:
                process = subprocess.Popen(
                    [sys.executable, *module, *map(str, words), *own],
                    env=clean() | {k: str(v) for k, v in more.items()},
                    cwd=ROOT,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            self.processes.append(process)

    def codes(self, seconds=300) -> list[int]:
        """Exit codes; those that do not end in time are killed, which is an error."""
        deadline = time.monotonic() + seconds
        try:
            for process in self.processes:
                process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            for process in self.processes:
                process.kill()
        return [process.wait() for process in self.processes]

    def check(self) -> "Job":
        codes = self.codes()
        assert not any(codes), (codes, self.text())
        return self

    def text(self) -> str:
        return "\n".join(log.read_text()[-4000:] for log in self.logs)


def clean() -> dict[str, str]:
    """The environment, without what would number a process; it compiles as tests do."""
    prefixes = ("SLURM_", "JAX_", "OMPI_", "KUBERNETES_", "JOB_", *TORCHRUN)
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(prefixes) or k in COMPILING
    }
    return kept | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def by_hand(count) -> list[list[str]]:
    """The flags of so many processes."""
    same = [f"--coordinator=127.0.0.1:{port()}", f"--processes={count}"]
    return [[*same, f"--process={i}"] for i in range(count)]


def by_slurm(count) -> dict:
    """What srun sets, as far as JAX reads it."""
    numbers = [str(i) for i in range(count)]
    return {
        "SLURM_JOB_ID": "12345",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": numbers,
        "SLURM_LOCALID": numbers,
        "JAX_COORDINATOR_PORT": str(port()),
    }


def by_torchrun(count) -> dict:
    """What `torchrun --standalone --nproc-per-node=COUNT` of PyTorch 2.13 sets."""
    numbers = [str(i) for i in range(count)]
    same = dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count))
    own = dict.fromkeys(("RANK", "LOCAL_RANK"), numbers)
    meet = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port())}
    return same | own | meet | {"TORCHELASTIC_USE_AGENT_STORE": "True"}


def write(path: pathlib.Path, config) -> pathlib.Path:
    """A config as a file."""
    path.write_text(CONFIG.format(text=json.dumps(config.to_dict())))
    return path


def read_records(out, count) -> list[dict]:
    return [json.loads(pathlib.Path(f"{out}.{i}").read_text()) for i in range(count)]
