"""Who the processes of a run are, and where; nothing is started.

By flags (--coordinator, --processes, --process), by the variables
JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or as JAX detects SLURM,
Open MPI, Cloud TPUs and Kubernetes, where they run more than one task. One task alone
starts nothing; one of several that JAX cannot place is refused.
"""

import argparse
from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.distributed.cluster_env import (
    HOW,
    INDEX,
    VARIABLES,
    ProcessInfo,
    count_tasks,
    find_cluster,
    read_process_info,
)
from kdjax.distributed.coordinator import check_address

MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def find_process_info(
    options: argparse.Namespace, environ: Mapping
) -> ProcessInfo | None:
    """This process's place in a run of several; None where it runs alone.

    Raises:
      InputError: something is missing, no number or out of its range; or there are
        several tasks, and nothing says which one this is.
      Apart: the cluster does not answer.
    """
    given = {name: getattr(options, name) for name in VARIABLES}
    told = {name: environ.get(key) for name, key in VARIABLES.items()}
    # JAX takes its variable for the address alone as well, and detects the rest.
    if not any(given.values()) and not (told["processes"] or told["process"]):
        return _detected(environ)
    names = {name: f"--{name}" if given[name] else VARIABLES[name] for name in given}
    found = {name: given[name] or told[name] for name in given}
    gone = [f"--{name} (or ${VARIABLES[name]})" for name in found if not found[name]]
    if gone:
        raise InputError(f"{', '.join(gone)} is missing; expected all three or none.")
    processes = _number(names["processes"], found["processes"], 1, 1 << 20)
    process = _number(names["process"], found["process"], 0, processes)
    check_address(names["coordinator"], found["coordinator"])
    return (
        ProcessInfo(found["coordinator"], processes, process) if processes > 1 else None
    )


def _detected(environ: Mapping) -> ProcessInfo | None:
    cluster = find_cluster(environ)
    count = count_tasks(cluster, environ) if cluster else 1
    if cluster is None or count == 1:
        _check_alone(environ, is_known=cluster is not None)
        return None
    place = read_process_info(cluster, count, environ)
    check_address(VARIABLES["coordinator"], place.coordinator)
    return place


def _number(name: str, text: str, low: int, limit: int) -> int:
    if not text.isdecimal() or not low <= int(text) < limit:
        raise InputError(f"{name} is {text!r}; expected {low} to {limit - 1}.")
    return int(text)


def _check_alone(environ: Mapping, *, is_known: bool) -> None:
    """Looks for signs of others, on a cluster that JAX knows and of one task, or none.

    Raises:
      InputError: this is one of several.
    """
    for name in MPI:
        count = environ.get(name, "")
        if count.isdecimal() and int(count) > 1:
            raise InputError(
                f"this is one of {count} tasks (${name}), and JAX cannot place it. "
                f"{HOW}"
            )
    if is_known:
        return
    if INDEX in environ:
        raise InputError(
            f"this is a pod of an indexed job (${INDEX}), and JAX cannot place it "
            f"without the package kubernetes: pip install 'jax[k8s]'. {HOW}"
        )
    if environ.get(VARIABLES["coordinator"]):
        raise InputError(
            f"{VARIABLES['coordinator']} is set, and nothing says how many processes "
            f"there are. {HOW}"
        )
