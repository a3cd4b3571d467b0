"""Saves a run while it goes on, and restores its newest sound step."""

import contextlib
import pathlib
import time
from collections.abc import Callable

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers as policies

from kdjax.checkpoints import storage
from kdjax.checkpoints.checksums import sums_of
from kdjax.contracts import InputError
from kdjax.paths import files, is_url
from kdjax.types import PyTree

PAUSE = 3.0  # seconds, before a bucket is read again


class Evaluated(policies.PreservationPolicy):
    """Keeps every step that was saved with the metrics of an evaluation."""

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        return [checkpoint.metrics is not None for checkpoint in checkpoints]


class Checkpointer:
    """Saves in the background; keeps the latest two and each student's best."""

    def __init__(
        self,
        directory: pathlib.Path,
        students: tuple[str, ...],
        meta: dict,
        keep_all: bool = False,
    ):
        """Opens an absolute directory, where nothing else may live, or creates it.

        Each student's best step is kept by "top1" of its evaluation, with `keep_all`
        every step that was evaluated; `meta`, the JSON identity, is stored in each.
        """
        self.meta, self._replaced = meta, None
        scores = [lambda metrics, name=name: metrics[name]["top1"] for name in students]
        options = {"n": 1, "keep_checkpoints_without_metrics": False}
        best = [policies.BestN(get_metric_fn=score, **options) for score in scores]
        kept = [Evaluated()] if keep_all else best
        self._manager = storage.open_manager(
            directory,
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(2), *kept]
            ),
            cleanup_tmp_directories=True,
            # Only with a `best_fn` does Orbax write scores to disk, where the policies
            # of a resumed run find them; the policies choose, this number does not.
            best_fn=lambda metrics: 0.0,
        )

    def save(
        self,
        step: int,
        states: PyTree,
        metrics: dict | None,
        progress: dict | None = None,
    ) -> None:
        """Begins to save; the arrays are copied before this returns.

        A step that is there, saved before it was evaluated, is replaced. `progress` is
        JSON to go on with.
        """
        items = storage.split(states)
        meta = self.meta | {"step": step, "checksums": sums_of(items)}
        if metrics:
            meta["metrics"] = metrics
        if progress:
            meta["progress"] = progress
        arrays = {n: ocp.args.StandardSave(tree) for n, tree in items.items()}
        args = ocp.args.Composite(meta=ocp.args.JsonSave(meta), **arrays)
        with storage.errors("save", step):
            if step in self._manager.all_steps():
                self._replaced = storage.aside(self._manager.directory / str(step))
                self._set_aside([step])
            self._manager.save(step, args=args, metrics=metrics)

    def wait(self) -> None:
        """Returns when everything saved is safely on disk."""
        with storage.errors("save", "in the background"):
            self._manager.wait_until_finished()
        if self._replaced and jax.process_index() == 0:
            files.remove_tree(self._replaced)
        self._replaced = None

    def steps(self) -> list[int]:
        """The steps on disk, damaged ones too, as this process sees them."""
        return sorted(self._manager.all_steps())

    def restore_latest(
        self, abstract: PyTree, say: Callable[[str], None]
    ) -> tuple[PyTree, dict] | None:
        """(states, meta) of the newest sound step; damaged ones after it are set aside.

        None where nothing was saved yet. `abstract` are the states as ShapeDtypeStructs
        with the sharding to restore into; `say` takes a sentence for each damaged step.
        StorageError where no step is sound, InputError for those of another network.
        """
        damaged: list[int] = []
        for step in reversed(self.steps()):
            restored, reason = self._sound(step, abstract)
            if restored is None:
                say(f"checkpoint {step} is damaged ({reason})")
                damaged.append(step)
                continue
            self._set_aside(damaged)
            items, meta = restored
            return storage.join(items), meta
        if damaged:
            raise storage.StorageError(
                f"{self._manager.directory}: none of the checkpoints {damaged} can be "
                "read. They are left as they are; use a new --workdir to start afresh."
            )
        return None

    def _sound(self, step: int, abstract: PyTree):
        """(what `restore` returns, ""), or (None, why); all processes have the same.

        The checksum of an array that is divided over processes is a collective: all
        processes take part in it, once each of them has read its rows, or none does.
        """
        restored, reason = self._read(step, abstract)
        if _everywhere(restored is not None):
            items, meta = restored
            reason, sums = "", sums_of(items)
            try:
                storage.check_sums(step, sums, meta)
            except Exception as error:
                reason = _text(error)
            if _everywhere(not reason):
                return restored, ""
        return None, reason or "another process cannot read it"

    def _read(self, step: int, abstract: PyTree):
        """(what `restore` returns, or None; why), without the other processes.

        Buckets are read twice: one answer that fails is no damage.
        """
        result = self._read_once(step, abstract)
        if result[0] is None and is_url(self._manager.directory):
            time.sleep(PAUSE)
            result = self._read_once(step, abstract)
        return result

    def _read_once(self, step: int, abstract: PyTree):
        with contextlib.closing(storage.open_reader(self._manager.directory)) as reader:
            try:
                storage.check_shapes(reader, step, abstract)
                return storage.restore(reader, step, storage.split(abstract)), ""
            except InputError:
                raise
            except Exception as error:  # Orbax raises five kinds for damaged files
                return None, _text(error)

    def _set_aside(self, steps: list[int]) -> None:
        """Renames damaged steps, so that the run may save those steps again."""
        for step in steps if jax.process_index() == 0 else ():
            storage.set_aside(self._manager.directory / str(step))
        if steps:
            _everywhere(True)
            self._manager.reload()

    def close(self) -> None:
        self._manager.close()


def _everywhere(sound: bool) -> bool:
    """Whether it holds in all processes; all of them call it."""
    return bool(multihost_utils.process_allgather(np.array(sound)).all())


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
