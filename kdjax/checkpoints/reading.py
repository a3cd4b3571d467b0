"""Reads the checkpoints of other runs: identity, and one network's variables."""

import contextlib
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from kdjax.checkpoints import storage
from kdjax.checkpoints.checksums import sums_of
from kdjax.contracts import InputError


def read_meta(directory: pathlib.Path) -> tuple[dict, dict[str, int]]:
    """The newest step's identity, and each student's best step by top-1.

    InputError where there is no checkpoint in the directory.
    """
    metas = {}
    with contextlib.closing(_open(directory)) as manager:
        for step in sorted(manager.all_steps()):
            with storage.errors("read", step):
                args = ocp.args.Composite(meta=ocp.args.JsonRestore())
                metas[step] = manager.restore(step, args=args)["meta"]
    best: dict[str, int] = {}
    for step, meta in metas.items():
        for name, row in meta.get("metrics", {}).items():
            old = metas[best[name]]["metrics"][name]["top1"] if name in best else -1
            if row["top1"] >= old:
                best[name] = step
    return metas[max(metas)], best


def read_identity(directory: pathlib.Path) -> dict | None:
    """The identity of the newest step where it can be read; None where there is none.

    Whether the arrays of a step are sound is not looked at.
    """
    if not any(path.name.isdigit() for path in directory.glob("*")):
        return None
    with contextlib.closing(storage.open_reader(directory)) as manager:
        for step in sorted(manager.all_steps(), reverse=True):
            args = ocp.args.Composite(meta=ocp.args.JsonRestore())
            # Orbax raises five kinds for damaged files.
            with contextlib.suppress(Exception):
                return manager.restore(step, args=args)["meta"]
    return None


def read_variables(directory: pathlib.Path, step: int, name: str) -> tuple[Any, Any]:
    """Reads one student's (params, batch_stats) as host arrays, checked."""
    host = _read(directory, step, "variables")[name]
    return host["params"], host["batch_stats"]


def read_connectors(directory: pathlib.Path, step: int, name: str) -> dict[str, Any]:
    """The {"params", "state"} of each of a student's connectors; {} without any."""
    return _read(directory, step, storage.CONNECTORS).get(name, {})


def _read(directory: pathlib.Path, step: int, item: str) -> dict[str, Any]:
    """An item of a step as host arrays, checked; {} where the step has none."""
    with contextlib.closing(_open(directory)) as manager, storage.errors("read", step):
        if step not in manager.all_steps():
            steps = sorted(manager.all_steps())
            text = f"{directory}: there is no step {step}; expected one of {steps}."
            raise InputError(text)
        saved = manager.item_metadata(step).get(item)
        if saved is None:
            return {}
        # Without a sharding Orbax wants the very devices that it was saved from.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            dict(saved),
        )
        items, meta = storage.restore(manager, step, {item: abstract})
        storage.check_sums(step, sums_of(items), meta)
    return jax.tree.map(np.asarray, items[item])


def _open(directory: pathlib.Path):
    """Opens for reading only; never creates the directory."""
    if not directory.is_dir():
        raise InputError(
            f"{directory}: no checkpoints here; expected the --workdir of a run that "
            "`python -m kdjax train` has brought to its first evaluation."
        )
    manager = storage.open_reader(directory)
    if not manager.all_steps():
        manager.close()
        raise InputError(f"{directory}: no finished checkpoint here yet; train first.")
    return manager
