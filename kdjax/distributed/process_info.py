"""Which process of a run this is, and where the others are; nothing is started.

By flags or JAX's variables, else by torchrun's, else as JAX detects SLURM, Open MPI,
Cloud TPUs and Kubernetes. Half a set of variables is refused, and so is one of several
tasks that nothing numbers: it would train alone.
"""

import argparse
from collections.abc import Mapping

from kdjax.contracts import InputError
from kdjax.distributed import cluster_env
from kdjax.distributed.cluster_env import (
    JOB_INDEX,
    VARIABLES,
    ProcessInfo,
    check_address,
    number,
)

MPI = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def find_process_info(
    options: argparse.Namespace, environ: Mapping
) -> ProcessInfo | None:
    """This process in a run of several; None where it runs alone."""
    flags = {name: getattr(options, name) for name in VARIABLES}
    variables = {name: environ.get(key) for name, key in VARIABLES.items()}
    # JAX takes its variable for the address alone as well, and detects the rest.
    if any((*flags.values(), variables["processes"], variables["process"])):
        info = _explicit(flags, variables, environ)
    elif _has_torchrun(environ):
        from kdjax.distributed import torchrun

        info = torchrun.read(environ)
        check_address(VARIABLES["coordinator"], info.coordinator)
    else:
        info = _detect(environ)
    return info if info and info.processes > 1 else None


def _explicit(flags: dict, variables: dict, environ: Mapping) -> ProcessInfo:
    names = {n: f"--{n}" if flags[n] else VARIABLES[n] for n in flags}
    values = {name: flags[name] or variables[name] for name in VARIABLES}
    if not values["process"] and JOB_INDEX in environ:
        # The number of a pod of Kubernetes; the pod's template names the other two.
        names["process"], values["process"] = JOB_INDEX, environ[JOB_INDEX]
    missing = [f"--{n} (or ${VARIABLES[n]})" for n in values if not values[n]]
    if missing:
        text = f"{', '.join(missing)} is missing; expected all three or none."
        raise InputError(text)
    processes = number(names["processes"], values["processes"], 1, 1 << 20)
    process = number(names["process"], values["process"], 0, processes)
    check_address(names["coordinator"], values["coordinator"])
    source = f"{names['processes']} and {names['process']}"
    return ProcessInfo(values["coordinator"], processes, process, source=source)


def _detect(environ: Mapping) -> ProcessInfo | None:
    cluster, info = cluster_env.read_cluster(environ)
    if info:
        check_address(VARIABLES["coordinator"], info.coordinator)
        return info
    _check_no_torchrun(environ)
    _check_alone(environ, has_cluster=bool(cluster))
    return None


def _has_torchrun(environ: Mapping) -> bool:
    """Whether all of TORCHRUN are set."""
    return all(environ.get(name) for name in TORCHRUN)


def _check_no_torchrun(environ: Mapping) -> None:
    """Raises InputError where some are set: one of several could go alone."""
    present = [name for name in TORCHRUN if environ.get(name)]
    if present:
        missing = [name for name in TORCHRUN if name not in present]
        raise InputError(
            f"of torchrun's variables {', '.join(present)} is set and "
            f"{', '.join(missing)} is missing; expected all four, as torchrun sets "
            f"them, or none. Start by torchrun, or unset {' '.join(present)}. "
            f"{cluster_env.REMEDY}"
        )


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
                f"this is a pod of an indexed job (${JOB_INDEX}), and nothing says of "
                f"how many: expected {VARIABLES['processes']} and "
                f"{VARIABLES['coordinator']}, HOST:PORT of pod 0, in the pod's env, or "
                "the package kubernetes: pip install 'jax[k8s]'"
            )
        elif environ.get(name := VARIABLES["coordinator"]):
            reason = f"{name} is set, and nothing says how many processes there are"
    if reason:
        raise InputError(f"{reason}. {cluster_env.REMEDY}")
