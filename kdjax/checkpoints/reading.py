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


WEIGHTS = ("ema", "raw")  # of a network: their average, or what the optimizer trains


def read_variables(
    directory: pathlib.Path, step: int, name: str, weights: str = ""
) -> tuple[Any, Any]:
    """Reads one student's (params, batch_stats) as host arrays, checked.

    `weights` is one of WEIGHTS, or "": the average if the run has one. InputError for
    the average of a run without.
    """
    items = dict(zip(WEIGHTS, ((storage.EMA,), ("variables",)), strict=True))
    host = _read(directory, step, *items.get(weights, (storage.EMA, "variables")))
    if not host:
        raise InputError(
            f"{directory}: step {step} has no average of the weights; expected a run "
            "with config.ema_decay, or its weights as they are: raw."
        )
    return host[name]["params"], host[name]["batch_stats"]


def read_connectors(directory: pathlib.Path, step: int, name: str) -> dict[str, Any]:
    """The {"params", "state"} of each of a student's connectors; {} without any."""
    return _read(directory, step, storage.CONNECTORS).get(name, {})


def _read(directory: pathlib.Path, step: int, *items: str) -> dict[str, Any]:
    """The first of the items that a step has as host arrays, checked; {} for none."""
    with contextlib.closing(_open(directory)) as manager, storage.errors("read", step):
        if step not in manager.all_steps():
            steps = sorted(manager.all_steps())
            text = f"{directory}: there is no step {step}; expected one of {steps}."
            raise InputError(text)
        metadata = manager.item_metadata(step)
        item = next((one for one in items if metadata.get(one) is not None), None)
        if item is None:
            return {}
        # Without a sharding Orbax wants the very devices that it was saved from.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            dict(metadata[item]),
        )
        restored, meta = storage.restore(manager, step, {item: abstract})
        storage.check_sums(step, sums_of(restored), meta)
    return jax.tree.map(np.asarray, restored[item])


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
