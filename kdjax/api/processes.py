"""Whether the functions may run in this process: kdjax joins several itself."""

import jax

from kdjax.contracts import InputError
from kdjax.distributed import collectives


def check_joined() -> None:
    """Raises InputError in one of several processes of JAX that kdjax did not start.

    Each would take itself for the first: all would lock and write one directory, and a
    signal would stop one while the others wait for it.
    """
    if collectives.processes() > 1 or not jax.distributed.is_initialized():
        return
    count, number = jax.process_count(), jax.process_index()
    if count == 1:
        return
    raise InputError(
        f"jax.distributed.initialize() has joined {count} processes, of which this is "
        f"{number}; expected one process from Python. On several hosts run `python -m "
        "kdjax train --config=FILE --workdir=DIR` on each, without that call: kdjax "
        "joins them itself, under Slurm, torchrun and the like, else by "
        f"`--coordinator=HOST:PORT --processes={count} --process={number}`. See "
        "docs/scale.md."
    )
