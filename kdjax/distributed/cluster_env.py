"""What JAX's readers of SLURM, Open MPI, Cloud TPUs and Kubernetes say of this process.

One that cannot be read is refused: several tasks that each took themselves for the only
one would train in one directory.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# The public interface cannot be asked what it would detect.
from jax._src.clusters import ClusterEnv

from kdjax.contracts import InputError

WAIT = 300  # seconds until all processes must have come
PAUSES = (1.0, 3.0, 9.0)  # seconds before a cluster's server is asked again
INDEX = "JOB_COMPLETION_INDEX"  # of a pod of an indexed job of Kubernetes
VARIABLES = {
    "coordinator": "JAX_COORDINATOR_ADDRESS",
    "processes": "JAX_NUM_PROCESSES",
    "process": "JAX_PROCESS_ID",
}
HOW = (
    f"Set {', '.join(VARIABLES.values())}, or --processes=1 --process=0 "
    "--coordinator=localhost:0 to run alone."
)
# Where it stands how many tasks there are. JAX reads those of SLURM's job, of which a
# step may have a part, and asks Open MPI 5 through a package, also where it has one.
_COUNTS = {"slurm": "SLURM_STEP_NUM_TASKS", "ompi": "OMPI_COMM_WORLD_SIZE"}


class ProcessInfo(NamedTuple):
    """A process among those of a run."""

    coordinator: str  # HOST:PORT of process 0
    processes: int
    process: int
    devices: list[int] | None = None  # of the host's GPUs; None: all that are visible


class RendezvousError(RuntimeError):
    """The processes of a run did not find each other; the next start may be luckier."""

    exit_code = 42


def find_cluster(environ: Mapping) -> type[ClusterEnv] | None:
    """JAX's reader of the cluster that this process runs on, where it knows it."""
    for cluster in ClusterEnv._cluster_types:
        if cluster.opt_in_only_method or not _may_be(cluster, environ):
            continue
        if _asked(cluster, cluster.is_env_present):
            return cluster
    return None


def count_tasks(cluster: type[ClusterEnv], environ: Mapping) -> int:
    """How many processes were started together.

    Raises:
      InputError: the cluster cannot be read.
      Apart: it does not answer.
    """
    here = environ.get(_COUNTS.get(cluster.name, ""))
    return _asked(cluster, lambda: int(here) if here else cluster.get_process_count())


def read_process_info(
    cluster: type[ClusterEnv], count: int, environ: Mapping
) -> ProcessInfo:
    """This process's place among `count`; errors as of `count_tasks`."""
    return _asked(cluster, lambda: _read(cluster, count, environ))


def _read(cluster: type[ClusterEnv], count: int, environ: Mapping) -> ProcessInfo:
    port = environ.get("JAX_COORDINATOR_PORT")
    address = environ.get(VARIABLES["coordinator"]) or cluster.get_coordinator_address(
        timeout_secs=WAIT, override_coordinator_port=port
    )
    devices = _devices(cluster.get_local_process_id(), count, environ)
    return ProcessInfo(address, count, cluster.get_process_id(), devices)


def _may_be(cluster: type[ClusterEnv], environ: Mapping) -> bool:
    # Any container of a Kubernetes cluster looks like one to JAX, and is told what to
    # install; only those of an indexed job can be several.
    return cluster.__name__ != "K8sCluster" or INDEX in environ


def _asked(cluster: type[ClusterEnv], ask: Callable[[], Any]) -> Any:
    """What a cluster says; a server of its that does not answer is asked again."""
    name = cluster.name or cluster.__name__  # Kubernetes' has none
    for pause in (*PAUSES, None):
        try:
            return ask()
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
            if not _is_of_the_network(error):
                raise InputError(
                    f"this looks like {name}, which JAX cannot read: {why}. {HOW}"
                ) from error
            if pause is None or not isinstance(error, OSError):
                raise RendezvousError(
                    f"{name} does not say who is who: {why}. {HOW}"
                ) from error
            time.sleep(pause)
    return None


def _is_of_the_network(error: Exception) -> bool:
    """Of Cloud TPUs: the metadata server; of many: process 0 has no address yet."""
    late = "recognize coordinator address" in str(error)
    return late or isinstance(error, OSError) or isinstance(error.__cause__, OSError)


def _devices(local: int | None, count: int, environ: Mapping) -> list[int] | None:
    """The GPU of a task that shares its host with others; all of them where it is
    alone there, and those that the scheduler shows where it shows one."""
    nodes = environ.get("SLURM_STEP_NUM_NODES")
    alone = environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1" or nodes == str(count)
    shown = environ.get("CUDA_VISIBLE_DEVICES", "")
    bound = bool(shown) and "," not in shown
    return None if local is None or alone or bound else [local]
