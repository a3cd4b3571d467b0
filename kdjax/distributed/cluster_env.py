"""What JAX reads of SLURM, Open MPI, Cloud TPUs and Kubernetes about this process.

A cluster that cannot be read is an error: several tasks that each ran as if alone would
train in one directory.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# The public interface does not report what it would detect.
from jax._src.clusters import ClusterEnv

from kdjax.contracts import InputError

WAIT = 300  # seconds in which all processes must have started
PAUSES = (1.0, 3.0, 9.0)  # seconds before a cluster's server is read again
JOB_INDEX = "JOB_COMPLETION_INDEX"  # of a pod of an indexed job of Kubernetes
VARIABLES = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "processes": "JAX_NUM_PROCESSES",
    "process": "JAX_PROCESS_ID",
}
REMEDY = (
    f"Set {', '.join(VARIABLES.values())}, or --processes=1 --process=0 "
    "--coordinator=localhost:0 to run alone."
)
# JAX reads the number of tasks of SLURM's job, of which a step may have a part, and
# asks Open MPI 5 through a package even where these variables hold it.
_COUNTS = {"slurm": "SLURM_STEP_NUM_TASKS", "ompi": "OMPI_COMM_WORLD_SIZE"}


VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


class ProcessInfo(NamedTuple):
    """A process among those of a run."""

    coordinator: str  # HOST:PORT of process 0
    processes: int
    process: int
    devices: list[int] | None = None  # of the host's GPUs; None: all that are visible
    sharing: int = 1  # processes that share this one's cores
    source: str = ""  # whose variables said so


class RendezvousError(RuntimeError):
    """The processes of a run did not find each other; another start may succeed."""

    exit_code = 42


def read_cluster(environ: Mapping) -> tuple[str, ProcessInfo | None]:
    """The name of this process's cluster or "", and the process if of several."""
    for cluster in ClusterEnv._cluster_types:
        # Any container on Kubernetes looks like a cluster to JAX, which then wants a
        # package; only those of an indexed job can be several.
        lone_pod = cluster.__name__ == "K8sCluster" and JOB_INDEX not in environ
        if cluster.opt_in_only_method or lone_pod:
            continue
        if _query(cluster, cluster.is_env_present):
            info = _query(cluster, lambda c=cluster: _read(c, environ))
            return cluster.__name__, info
    return "", None


def _read(cluster: type[ClusterEnv], environ: Mapping) -> ProcessInfo | None:
    count = environ.get(_COUNTS.get(cluster.name, ""))
    count = int(count) if count else cluster.get_process_count()
    if count == 1:
        return None
    port = environ.get("JAX_COORDINATOR_PORT")
    address = environ.get(VARIABLES["coordinator"]) or cluster.get_coordinator_address(
        timeout_secs=WAIT, override_coordinator_port=port
    )
    local, nodes = cluster.get_local_process_id(), environ.get("SLURM_STEP_NUM_NODES")
    alone = environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1" or nodes == str(count)
    devices = own_devices(environ, None if alone else local)
    source = cluster.name or cluster.__name__  # Kubernetes' has none
    return ProcessInfo(address, count, cluster.get_process_id(), devices, source=source)


def check_address(name: str, text: str) -> None:
    """Raises InputError for what is no HOST:PORT; `name` says where it was given."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            f"{name} is {text!r}; expected HOST:PORT, where process 0 runs and a port "
            "that is free there."
        )


def number(name: str, text: str, low: int, limit: int) -> int:
    """A variable or flag as a number from `low` to below `limit`, or an InputError."""
    if not text.isdecimal() or not low <= int(text) < limit:
        raise InputError(f"{name} is {text!r}; expected {low} to {limit - 1}.")
    return int(text)


def own_devices(environ: Mapping, local: int | None) -> list[int] | None:
    """The GPU of process `local` among those that share a host and see its GPUs.

    None, for all that are visible, where no host is shared (`local` is None), the
    process is bound to one GPU already, or the user says which: JAX reads that.
    """
    bound = any(environ.get(n) and "," not in environ[n] for n in VISIBLE)
    by_hand = "JAX_LOCAL_DEVICE_IDS" in environ
    return None if local is None or bound or by_hand else [local]


def _query(cluster: type[ClusterEnv], read: Callable[[], Any]) -> Any:
    """What `read` returns; it is called again where a server does not answer."""
    name = cluster.name or cluster.__name__  # Kubernetes' has none
    for pause in (*PAUSES, None):
        try:
            return read()
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
            # Of Cloud TPUs the metadata server; of many: process 0 has no address yet.
            late = "recognize coordinator address" in reason
            may_retry = isinstance(error, OSError)
            if not (late or may_retry or isinstance(error.__cause__, OSError)):
                raise InputError(
                    f"this looks like {name}, which JAX cannot read: {reason}. {REMEDY}"
                ) from error
            if pause is None or not may_retry:
                raise RendezvousError(
                    f"{name} does not answer which process this is: {reason}. {REMEDY}"
                ) from error
            time.sleep(pause)
    return None
