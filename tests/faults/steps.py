"""Damages every file of the newest of two checkpoints, and restores; by any processes.

`python -m tests.faults.steps ADDRESS COUNT NUMBER DIRECTORY EVERY` is one of COUNT
processes of two devices that do it together; each EVERYth case is tried.
"""

import collections
import gc
import json
import pathlib
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from kdjax.checkpoints import Checkpointer
from kdjax.training import sharding
from kdjax.training.state import TrainState

META = {"students": {"flat": {}}, "teacher": None}


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {"cut": cut, "flipped": flip, "deleted": pathlib.Path.unlink}


def make_states(mesh, step: int) -> dict[str, TrainState]:
    """Of a network, and of a memory whose rows the devices divide."""
    same, divided = sharding.replicated(mesh), sharding.split(mesh)

    def make():
        kernel = jnp.arange(96, dtype=jnp.float32).reshape(8, 12) + jnp.float32(step)
        bank = jnp.arange(8 * mesh.size, dtype=jnp.float32) * jnp.float32(step)
        state = TrainState(
            step=jnp.int32(step),
            params={"kernel": kernel, "bias": kernel[0]},
            batch_stats={},
            opt_state=({"trace": -kernel},),
            supervision_state={"bank": bank},
        )
        return {"flat": state}

    shapes = jax.eval_shape(make)
    where = jax.tree.map(lambda _: same, shapes)
    where["flat"].supervision_state["bank"] = divided
    return jax.jit(make, out_shardings=where)()


def save(directory: pathlib.Path, mesh) -> None:
    """Steps 1 and 2, each with scores."""
    saver = Checkpointer(directory, ("flat",), META)
    for step in (1, 2):
        saver.save(step, make_states(mesh, step), {"flat": {"top1": float(step)}})
    saver.wait()
    saver.close()


def abstract(states):
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), states
    )


def restore(directory: pathlib.Path, mesh) -> tuple[int, list[str]]:
    """(the step that was restored, bit for bit; what was said), as a run does it."""
    said, wanted = [], {step: make_states(mesh, step) for step in (1, 2)}
    saver = Checkpointer(directory, ("flat",), META)
    try:
        states, meta = saver.restore_latest(abstract(wanted[2]), said.append)
    finally:
        saver.close()
    step = meta["step"]
    if step == 1:
        gc.collect()  # what Orbax leaves of a failed read complains here
    for own, right in zip(*map(jax.tree.leaves, (states, wanted[step])), strict=True):
        for a, b in zip(own.addressable_shards, right.addressable_shards, strict=True):
            np.testing.assert_array_equal(a.data, b.data)
    return step, said


def matrix(root: pathlib.Path, mesh, every: int = 1) -> dict[str, int]:
    """Saves, and tries the cases; how often which step was restored.

    AssertionError where it was another state than one that was saved, or a step was
    set aside without a word.
    """
    whole, counts = root / "whole", collections.Counter()
    save(whole, mesh)
    parts = sorted(path.relative_to(whole) for path in (whole / "2").rglob("*"))
    parts = [part for part in parts if (whole / part).is_file()]
    cases = [(part, name) for part in parts for name in DAMAGES]
    for number, (part, name) in enumerate(cases):
        if number % every:
            continue
        directory = root / f"case-{number}"
        if jax.process_index() == 0:
            shutil.copytree(whole, directory)
            DAMAGES[name](directory / part)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices(f"case {number}")
        step, said = restore(directory, mesh)
        assert step == 2 or (step == 1 and said), (part, name, said)
        assert (directory / "2.damaged").is_dir() == (step == 1), (part, name)
        counts[f"step {step}"] += 1
    return dict(counts)


def main(address: str, count: str, number: str, root: str, every: str) -> None:
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(address, int(count), int(number))
    counts = matrix(pathlib.Path(root), sharding.make_mesh(), int(every))
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
