"""Checkpoints with Orbax, its only importer: atomic, checked, resumable.

A step holds three items: `variables` (parameters and batch statistics: all that a
teacher needs), `training` (step, optimizer and supervision state) and `meta` (identity
and checksums). Orbax neither notices a flipped bit nor falls back from a damaged step;
both are done here.
"""

import contextlib
import hashlib
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from kdjax.contracts import InputError
from kdjax.training.state import TrainState
from kdjax.types import PyTree


class StorageError(RuntimeError):
    """A checkpoint could not be written or read."""

    exit_code = 4


@jax.jit
def _checksums(tree: PyTree) -> jax.Array:
    """One uint32 a leaf: sum of bits_i (2 i + 1) mod 2^32.

    Wrap-around addition is exact in any order, so the value depends neither on sharding
    nor on the number of devices; the odd multiplier betrays a change of any element.
    """

    def leaf_sum(x):
        width = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
        x = x.astype(jnp.uint8) if x.dtype == jnp.bool_ else x
        bits = jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32).ravel()
        odd = jnp.uint32(2) * jnp.arange(bits.size, dtype=jnp.uint32) + jnp.uint32(1)
        return jnp.sum(bits * odd, dtype=jnp.uint32)

    return jnp.stack([leaf_sum(x) for x in jax.tree.leaves(tree)])


def _sums(items: dict[str, PyTree]) -> dict[str, list[int]]:
    return {
        name: np.asarray(_checksums(tree)).tolist() if jax.tree.leaves(tree) else []
        for name, tree in items.items()
    }


def digest(tree: PyTree) -> str:
    """SHA-256 over names, types, shapes and bytes of all leaves: who a teacher is."""
    result = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        name = f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}"
        result.update(name.encode())
        result.update(array.tobytes())
    return result.hexdigest()


class Checkpointer:
    """Saves in the background; keeps the latest two and each student's best."""

    def __init__(self, directory: pathlib.Path, students: tuple[str, ...], meta: dict):
        """Opens (or begins) a directory.

        Args:
          directory: absolute; nothing else may live in it.
          students: names; the best of each is kept, by "top1" of its evaluation.
          meta: JSON identity, stored in every step.
        """
        self.meta = meta
        best = [
            policies.BestN(
                get_metric_fn=lambda metrics, name=name: metrics[name]["top1"],
                n=1,
                keep_checkpoints_without_metrics=False,
            )
            for name in students
        ]
        keep = policies.AnyPreservationPolicy([policies.LatestN(2), *best])
        self._manager = _manager(
            directory, preservation_policy=keep, cleanup_tmp_directories=True
        )

    def save(self, step: int, states: PyTree, metrics: dict | None) -> None:
        """Begins to save; the arrays are copied before this returns."""
        items = _split(states)
        meta = self.meta | {"step": step, "checksums": _sums(items)}
        if metrics:
            meta["metrics"] = metrics
        arrays = {n: ocp.args.StandardSave(tree) for n, tree in items.items()}
        args = ocp.args.Composite(meta=ocp.args.JsonSave(meta), **arrays)
        with _storage("save", step):
            # A step saved on a stop signal has no metrics; when the resumed run ends at
            # that very step, there is nothing new to write.
            if step != self._manager.latest_step():
                self._manager.save(step, args=args, metrics=metrics)

    def wait(self) -> None:
        """Returns when everything saved is safely on disk."""
        with _storage("save", "in the background"):
            self._manager.wait_until_finished()

    def restore_latest(
        self, abstract: PyTree, say: Callable[[str], None]
    ) -> tuple[PyTree, dict] | None:
        """Restores the newest sound step; damaged ones are set aside and named.

        Args:
          abstract: states as ShapeDtypeStructs with the sharding to restore into.
          say: takes one sentence for each damaged step.

        Returns:
          (states, meta), or None where nothing was saved yet.

        Raises:
          StorageError: there are steps, and none of them is sound.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                items, meta = _restore(self._manager, step, _split(abstract))
                return _join(items), meta
            except Exception as error:  # Orbax raises five kinds for damaged files
                reason = f"{type(error).__name__}: {str(error)[:200]}"
                say(f"checkpoint {step} is damaged and set aside ({reason})")
            path = pathlib.Path(str(self._manager.directory)) / str(step)
            path.rename(path.with_name(f"{step}.damaged"))
            self._manager.reload()
        if steps:
            raise StorageError(
                f"{self._manager.directory}: none of the checkpoints {steps} is sound. "
                "They are kept as STEP.damaged; use a new --workdir to start afresh."
            )
        return None

    def close(self) -> None:
        self._manager.close()


def read_meta(directory: pathlib.Path) -> tuple[dict, dict[str, int]]:
    """Reads the newest step's identity and each student's best step by top-1.

    Raises:
      InputError: there is no checkpoint in the directory.
    """
    manager = _open(directory)
    metas = {step: _meta(manager, step) for step in sorted(manager.all_steps())}
    manager.close()
    best: dict[str, int] = {}
    for step, meta in metas.items():
        for name, row in meta.get("metrics", {}).items():
            old = metas[best[name]]["metrics"][name]["top1"] if name in best else -1
            if row["top1"] >= old:
                best[name] = step
    return metas[max(metas)], best


def read_variables(directory: pathlib.Path, step: int, name: str) -> tuple[Any, Any]:
    """Reads one student's (params, batch_stats) as host arrays, checked."""
    manager = _open(directory)
    if step not in manager.all_steps():
        raise InputError(
            f"{directory}: there is no step {step}; expected one of "
            f"{sorted(manager.all_steps())}."
        )
    with _storage("read", step):
        saved = manager.item_metadata(step)["variables"]
        # Without a sharding Orbax wants the very devices that it was saved from.
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
            dict(saved),
        )
        items, _ = _restore(manager, step, {"variables": abstract})
    manager.close()
    host = jax.tree.map(np.asarray, items["variables"][name])
    return host["params"], host["batch_stats"]


def _split(states: dict[str, TrainState]) -> dict[str, PyTree]:
    return {
        "variables": {
            name: {"params": s.params, "batch_stats": s.batch_stats}
            for name, s in states.items()
        },
        "training": {
            name: {
                "step": s.step,
                "opt_state": s.opt_state,
                "supervision_state": s.supervision_state,
            }
            for name, s in states.items()
        },
    }


def _join(items: dict[str, PyTree]) -> dict[str, TrainState]:
    return {
        name: TrainState(**items["variables"][name], **items["training"][name])
        for name in items["variables"]
    }


def _restore(manager, step: int, abstract: dict[str, PyTree]):
    """Restores and compares with the checksums that were saved in the same step."""
    args = {n: ocp.args.StandardRestore(tree) for n, tree in abstract.items()}
    args = ocp.args.Composite(meta=ocp.args.JsonRestore(), **args)
    restored = manager.restore(step, args=args)
    items, meta = {n: restored[n] for n in abstract}, restored["meta"]
    for name, found in _sums(items).items():
        wrong = sum(a != b for a, b in zip(meta["checksums"][name], found, strict=True))
        if wrong:
            raise StorageError(
                f"step {step}: {wrong} arrays differ from their checksum"
            )
    return items, meta


def _meta(manager, step: int) -> dict:
    with _storage("read", step):
        args = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return manager.restore(step, args=args)["meta"]


def _open(directory: pathlib.Path):
    """Opens for reading only; never creates the directory."""
    if not directory.is_dir():
        raise InputError(
            f"{directory}: no checkpoints here; expected the --workdir of a run that "
            "`python -m kdjax train` has brought to its first evaluation."
        )
    manager = _manager(directory, read_only=True)
    if not manager.all_steps():
        manager.close()
        raise InputError(f"{directory}: no finished checkpoint here yet; train first.")
    return manager


def _manager(directory: pathlib.Path, **options):
    # Orbax warns about choices that are ours; damaged steps we report ourselves.
    logging.getLogger("absl").setLevel(logging.ERROR)
    options = ocp.CheckpointManagerOptions(**options)
    handlers = {  # named here, so that a directory can be read before it is written to
        "variables": ocp.StandardCheckpointHandler(),
        "training": ocp.StandardCheckpointHandler(),
        "meta": ocp.JsonCheckpointHandler(),
    }
    return ocp.CheckpointManager(directory, item_handlers=handlers, options=options)


@contextlib.contextmanager
def _storage(what: str, step: int | str):
    """Turns what the disk and Orbax raise into our one error, which exits with 4."""
    try:
        yield
    except (InputError, StorageError):
        raise
    except Exception as error:
        raise StorageError(
            f"checkpoints: could not {what} step {step}: {type(error).__name__}: "
            f"{str(error)[:300]}. Steps saved before are still good; look at the free "
            "space and the permissions of the --workdir."
        ) from error
