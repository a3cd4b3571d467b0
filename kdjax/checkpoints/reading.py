"""Reads the checkpoints of other runs: identity, and one network's variables."""

import contextlib
import pathlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from kdjax import paths
from kdjax.checkpoints import aside, storage
from kdjax.checkpoints.checksums import sums_of
from kdjax.contracts import InputError, nearest
from kdjax.distributed import collectives


def read_meta(directory: pathlib.Path) -> tuple[dict, dict[str, int]]:
    """The newest step's identity, and each student's best step by top-1.

    Steps whose identity is damaged are said and left out. InputError where there is no
    checkpoint in the directory, StorageError where none of them can be read.
    """
    metas = _metas(directory, reversed(_steps(directory)))
    best: dict[str, int] = {}
    for step, meta in sorted(metas.items()):
        for name, row in meta.get("metrics", {}).items():
            old = metas[best[name]]["metrics"][name]["top1"] if name in best else -1
            if row["top1"] >= old:
                best[name] = step
    return metas[max(metas)], best


def _metas(directory: pathlib.Path, steps: Iterable[int]) -> dict[int, dict]:
    """Step -> identity of those that are sound, one at least."""
    metas, damage = {}, None
    for step in steps:
        try:
            with storage.reading(directory, step):
                metas[step] = storage.read_meta(directory, step)
        except storage.DamagedStepError as error:
            collectives.log(str(error))
            damage = error
    if not metas:
        raise damage
    return metas


def read_identity(directory: pathlib.Path) -> dict | None:
    """The newest identity that can be read; None where there is no checkpoint.

    Whether the arrays of a step are sound is not looked at. StorageError where a disk
    does not give one now: an older one may say something else.
    """
    for step in aside.step_names(directory):
        with contextlib.suppress(storage.DamagedStepError):
            with storage.reading(directory, step):
                return storage.read_meta(directory, step)
    return None


WEIGHTS = ("ema", "raw")  # of a network: their average, or what the optimizer trains


def read_variables(
    directory: pathlib.Path, step: int, name: str, weights: str = ""
) -> tuple[Any, Any]:
    """Reads one student's (params, batch_stats) as host arrays, checked.

    `weights` is one of WEIGHTS, or "": the average if the run has one. InputError for
    the average of a run without, and for another word.
    """
    items = dict(zip(WEIGHTS, ((storage.EMA,), ("variables",)), strict=True))
    items[""] = (storage.EMA, "variables")
    if weights not in items:
        raise InputError(
            f"--weights is {weights!r}; expected {' or '.join(WEIGHTS)}."
            + nearest(str(weights), WEIGHTS)
        )
    host = _read(directory, step, *items[weights])
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
    steps = _steps(directory)
    if step not in steps:
        text = f"{directory}: there is no step {step}; expected one of {steps}."
        raise InputError(text)
    manager = storage.open_reader(directory)
    with contextlib.closing(manager), storage.reading(directory, step, steps):
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


def _steps(directory: pathlib.Path) -> list[int]:
    """The steps in a directory, one at least; it is never created."""
    if not directory.is_dir():
        raise InputError(
            f"{directory}: no checkpoints here; expected the --workdir of a run that "
            "`python -m kdjax train` has brought to its first evaluation."
            + paths.nearest(directory.parent)
        )
    with contextlib.closing(storage.open_reader(directory)) as manager:
        steps = sorted(manager.all_steps())
    if not steps:
        raise InputError(f"{directory}: no finished checkpoint here yet; train first.")
    return steps
