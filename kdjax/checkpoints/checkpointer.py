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

from kdjax.checkpoints import aside, storage
from kdjax.checkpoints.checksums import sums_of
from kdjax.contracts import InputError, without_nan
from kdjax.distributed import collectives
from kdjax.paths import files, is_url
from kdjax.paths.files import text_of
from kdjax.paths.json_files import sealed
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
        self.meta, self.directory, self._replaced = meta, directory, None
        collectives.broadcast(lambda: aside.give_back(directory))
        for sentence in collectives.broadcast(lambda: storage.mend_metrics(directory)):
            collectives.log(sentence)
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
        beside: dict | None = None,
    ) -> None:
        """Begins to save; the arrays are copied before this returns.

        A step that is there, saved before it was evaluated, is replaced. `beside` is
        JSON to go on with, which becomes a part of the step's meta.
        """
        items, metrics = storage.split(states), without_nan(metrics)
        meta = self.meta | {"step": step, "checksums": sums_of(items)}
        if metrics:
            meta["metrics"] = metrics
        meta = sealed(meta | without_nan(beside or {}))
        arrays = {n: ocp.args.StandardSave(tree) for n, tree in items.items()}
        args = ocp.args.Composite(meta=ocp.args.JsonSave(meta), **arrays)
        with storage.errors("save", step):
            if step in self._manager.all_steps():
                self._set_aside([step], aside.REPLACED)
                name = f"{step}{aside.REPLACED}"
                self._replaced = self._manager.directory / name
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
        StorageError where no step is sound, or a disk does not give one now, which is
        no damage; InputError for those of another network.
        """
        damaged: dict[int, Exception] = {}
        for step in reversed(self.steps()):
            restored, error = self._sound(step, abstract)
            if restored is None:
                damaged[step] = error
                continue
            for number, why in damaged.items():
                say(f"checkpoint {number} is damaged ({text_of(why)})")
            self._set_aside(list(damaged), aside.DAMAGED)
            items, meta = restored
            return storage.join(items), meta
        for error in damaged.values():
            # One step of another shape is damaged; where all are, the network is new.
            if isinstance(error, InputError):
                raise error
        if damaged:
            why = "; ".join(f"{n}: {text_of(e)}" for n, e in damaged.items())
            raise storage.StorageError(
                f"{self._manager.directory}: none of the checkpoints {list(damaged)} "
                f"can be read ({why[:300]}). They are left as they are; use a new "
                "--workdir to start afresh."
            )
        return None

    def _sound(self, step: int, abstract: PyTree):
        """(what `restore` returns, None), or (None, why); all processes have the same.

        The checksum of an array that is divided over processes is a collective: all
        processes take part in it, once each of them has read its rows, or none does.
        """
        restored, error = self._read(step, abstract)
        self._raise_refused(step, error)
        if _everywhere(restored is not None):
            items, meta = restored
            sums = sums_of(items)
            try:
                storage.check_sums(step, sums, meta)
            except Exception as wrong:
                error = wrong
            if _everywhere(error is None):
                return restored, None
        return None, error or storage.StorageError("another process cannot read it")

    def _read(self, step: int, abstract: PyTree):
        """(what `restore` returns or None, why not), without the other processes.

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
                return storage.restore(reader, step, storage.split(abstract)), None
            except Exception as error:  # Orbax raises five kinds for damaged files
                return None, error

    def _raise_refused(self, step: int, error: Exception | None) -> None:
        """Ends all processes where the disk of one gives nothing of a step now."""
        if isinstance(error, InputError):
            error = None
        if error is not None:
            error = storage.unreadable(self._manager.directory, step, error)
            error = None if isinstance(error, storage.DamagedStepError) else error
        if not _everywhere(error is None):
            where = f"{self._manager.directory}: checkpoint {step}"
            text = f"{where} cannot be read by another process now; its log says why."
            raise error or storage.StorageError(text)

    def _set_aside(self, steps: list[int], suffix: str) -> None:
        """Renames steps, so that the run may save those steps again."""
        for step in steps if jax.process_index() == 0 else ():
            aside.set_aside(self._manager.directory / str(step), suffix)
        if steps:
            _everywhere(True)
            self._manager.reload()

    def close(self) -> None:
        self._manager.close()


def _everywhere(sound: bool) -> bool:
    """Whether it holds in all processes; all of them call it."""
    return bool(multihost_utils.process_allgather(np.array(sound)).all())
