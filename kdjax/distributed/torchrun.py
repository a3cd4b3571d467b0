"""The variables of torchrun, and of scripts in its manner: RANK, WORLD_SIZE and others.

torchrun starts as many processes as --nproc-per-node says on each host: one for each
GPU, or one for all of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

from kdjax.contracts import InputError
from kdjax.distributed.cluster_env import (
    JOB_INDEX,
    REMEDY,
    VARIABLES,
    ProcessInfo,
    number,
    own_devices,
)
from kdjax.distributed.process_info import TORCHRUN

# torchrun itself listens on MASTER_PORT then. JAX's coordinator takes a port above
# those that Linux gives out (32768 to 60999), the same one in all processes.
AGENT_LISTENS = "TORCHELASTIC_USE_AGENT_STORE"
PORTS = 61440, 4096  # the first, and how many


class Launcher(NamedTuple):
    """What has started this process, or the torchrun that has."""

    name: str
    count: str  # the variable of the number of its tasks
    task: str  # the variable of this one's number


LAUNCHERS = (
    Launcher("SLURM", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    Launcher("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    Launcher("MPI", "PMI_SIZE", "PMI_RANK"),
)


def read(environ: Mapping) -> ProcessInfo:
    """This process, where all of TORCHRUN are set; it may be the only one."""
    processes = number("WORLD_SIZE", environ["WORLD_SIZE"], 1, 1 << 20)
    process = number("RANK", environ["RANK"], 0, processes)
    local = _optional("LOCAL_RANK", environ, 0)
    sharing = _optional("LOCAL_WORLD_SIZE", environ, 1)
    _check_launcher(environ, processes, process, sharing)
    devices = own_devices(environ, None if sharing == 1 else local)
    coordinator = environ.get(VARIABLES["coordinator"]) or _coordinator(environ)
    source = "torchrun's variables"
    return ProcessInfo(coordinator, processes, process, devices, sharing or 1, source)


def _optional(name: str, environ: Mapping, low: int) -> int | None:
    text = environ.get(name)
    return number(name, text, low, 1 << 20) if text else None


def _coordinator(environ: Mapping) -> str:
    host = environ["MASTER_ADDR"]
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    port = number("MASTER_PORT", environ["MASTER_PORT"], 1, 1 << 16)
    if environ.get(AGENT_LISTENS) == "True":
        port = PORTS[0] + port % PORTS[1]
    return f"{host}:{environ.get('JAX_COORDINATOR_PORT') or port}"


def _check_launcher(
    environ: Mapping, processes: int, process: int, sharing: int | None
) -> None:
    """Refuses numbers that leave out tasks of SLURM, MPI or Kubernetes.

    Each of those tasks would be a run of its own, as where every node starts a torchrun
    of --nnodes=1.
    """
    for launcher in LAUNCHERS:
        count, task = environ.get(launcher.count, ""), environ.get(launcher.task, "")
        if not count.isdecimal() or int(count) <= 1:
            continue
        tasks = int(count)
        # Where nothing says how many share a host, each task may have started several.
        many = processes > tasks and processes % tasks == 0
        by_node = processes == tasks * sharing if sharing else many
        by_task = processes == tasks and task in ("", str(process))
        if not by_node and not by_task:
            numbers = f"{launcher.count}={count}, {launcher.task}={task}"
            _contradiction(f"{launcher.name}'s ({numbers})")
    index = environ.get(JOB_INDEX, "")
    if index.isdecimal() and int(index) >= processes // (sharing or 1):
        _contradiction(f"those of this pod of an indexed job ({JOB_INDEX}={index})")


def _contradiction(other: str) -> None:
    raise InputError(
        "torchrun's variables (RANK, WORLD_SIZE, LOCAL_WORLD_SIZE) contradict "
        f"{other}: a part of them would train alone. Start torchrun once on each node, "
        "with --nnodes=N and one --rdzv-endpoint for all, or unset "
        f"{' '.join(TORCHRUN)} to go by the other set. {REMEDY}"
    )
