"""Which process of a run this is, and where the others are; nothing is started.

By flags, by JAX's variables, or as JAX detects SLURM, Open MPI, Cloud TPUs and
Kubernetes. One of several tasks that JAX cannot number is refused.
"""

import argparse
from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.distributed import cluster_env
from kdjax.distributed.cluster_env import JOB_INDEX, VARIABLES, ProcessInfo
from kdjax.distributed.coordinator import check_address

MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def find_process_info(
    options: argparse.Namespace, environ: Mapping
) -> ProcessInfo | None:
    """This process in a run of several; None where it runs alone."""
    flags = {name: getattr(options, name) for name in VARIABLES}
    variables = {name: environ.get(key) for name, key in VARIABLES.items()}
    # JAX takes its variable for the address alone as well, and detects the rest.
    if not any((*flags.values(), variables["processes"], variables["process"])):
        cluster, info = cluster_env.read_cluster(environ)
        if info:
            check_address(VARIABLES["coordinator"], info.coordinator)
        else:
            _check_alone(environ, has_cluster=bool(cluster))
        return info
    values = {name: flags[name] or variables[name] for name in VARIABLES}
    missing = [f"--{n} (or ${VARIABLES[n]})" for n in values if not values[n]]
    if missing:
        text = f"{', '.join(missing)} is missing; expected all three or none."
        raise InputError(text)
    names = {n: f"--{n}" if flags[n] else VARIABLES[n] for n in flags}
    processes = _number(names["processes"], values["processes"], 1, 1 << 20)
    process = _number(names["process"], values["process"], 0, processes)
    check_address(names["coordinator"], values["coordinator"])
    info = ProcessInfo(values["coordinator"], processes, process)
    return info if processes > 1 else None


def _number(name: str, text: str, low: int, limit: int) -> int:
    if not text.isdecimal() or not low <= int(text) < limit:
        raise InputError(f"{name} is {text!r}; expected {low} to {limit - 1}.")
    return int(text)


def _check_alone(environ: Mapping, *, has_cluster: bool) -> None:
    """Raises InputError where variables show that this is one task of several."""
    reason = ""
    for name in MPI:
        count = environ.get(name, "")
        if count.isdecimal() and int(count) > 1:
            reason = f"this is one of {count} tasks (${name}), and JAX cannot place it"
    if not reason and not has_cluster:
        if JOB_INDEX in environ:
            reason = (
                f"this is a pod of an indexed job (${JOB_INDEX}), and JAX cannot place "
                "it without the package kubernetes: pip install 'jax[k8s]'"
            )
        elif environ.get(name := VARIABLES["coordinator"]):
            reason = f"{name} is set, and nothing says how many processes there are"
    if reason:
        raise InputError(f"{reason}. {cluster_env.REMEDY}")
