"""The mesh, one axis `data`; where arrays lie on it; jits of init and evaluation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from kdjax.models.network import Network, call_train
from kdjax.training.state import Student, TrainState
from kdjax.types import PyTree


def make_mesh(devices=None) -> Mesh:
    """A mesh of one axis, `data`, over all devices (or those given).

    Auto axes, by name: `jax.make_mesh` defaults to Explicit, in which gathers by label,
    sorts over the batch and pairwise products fail.

    Devices of several hosts stand host by host, and so slice by slice: each feeds the
    rows of its own, and `jax.make_mesh` takes no more than one slice.
    """
    devices = jax.devices() if devices is None else devices
    axes = (AxisType.Auto,)
    if len({device.process_index for device in devices}) > 1:
        devices = sorted(devices, key=lambda device: (device.process_index, device.id))
        return Mesh(np.array(devices), ("data",), axis_types=axes)
    return jax.make_mesh((len(devices),), ("data",), axis_types=axes, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """The same values on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """One axis, the batch, divided over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def compile_init(init, mesh: Mesh, shardings: PyTree = None):
    """Jits an initialiser so that its result is born on the mesh, replicated.

    Or as `shardings` say, such as `of_states`. Never `device_put` a state instead: it
    may share its buffer with the source, and donating it would then delete the source.
    """
    return jax.jit(init, out_shardings=shardings or replicated(mesh))


def of_states(students: dict[str, Student], mesh: Mesh) -> dict[str, TrainState]:
    """Where the arrays of states lie, as prefixes: replicated, but for some memories.

    A memory that is `sharded` has its rows divided where the devices divide them.
    """
    same = replicated(mesh)

    def of_memory(memory):
        if memory is None or not memory.sharded:
            return same

        def divided(leaf):
            fits = leaf.ndim and leaf.shape[0] % mesh.size == 0
            return split(mesh) if fits else same

        return jax.tree.map(divided, jax.eval_shape(memory.init))

    fields = {field.name: same for field in dataclasses.fields(TrainState)}
    return {
        name: TrainState(
            **fields
            | {
                "supervision_state": {
                    "temperature": same,
                    "memory": of_memory(student.method.memory),
                }
                | ({"loss": same} if student.loss_spike else {})
            }
        )
        for name, student in students.items()
    }


def abstract(states: PyTree, shardings: PyTree) -> PyTree:
    """Shapes of states with the shardings that are prefixes of them."""

    def placed(sharding, tree):
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    return jax.tree.map(placed, shardings, states)


def compile_evaluate_step(step, mesh: Mesh):
    """Jits `step(variables, batch)` with a divided batch."""
    same, rows = replicated(mesh), split(mesh)
    return jax.jit(step, in_shardings=(same, rows), out_shardings=same)


def place_rows(rows: PyTree, mesh: Mesh, axis: int = 0, parts: int = 1) -> PyTree:
    """Puts a batch of host arrays onto the mesh, divided along an axis.

    Each process holds one of so many `parts` of it; of 1, each holds it all.
    """
    sharding = split(mesh, axis)

    def put(x):
        shape = *x.shape[:axis], parts * x.shape[axis], *x.shape[axis + 1 :]
        return jax.make_array_from_process_local_data(sharding, x, shape)

    return jax.tree.map(put, rows)


def place_replicated(tree: PyTree, mesh: Mesh) -> PyTree:
    """Puts host arrays, the same in all processes, onto every device of the mesh."""
    same = replicated(mesh)
    if not mesh.is_multi_process:
        return jax.device_put(tree, same)

    def put(x):  # `device_put` would compare each leaf over all hosts
        return jax.make_array_from_process_local_data(same, np.asarray(x), x.shape)

    return jax.tree.map(put, tree)


def per_device(network: Network, mesh: Mesh) -> Network:
    """The network with batch norms that see, while it trains, one device's rows each.

    Running moments are the means over the devices. All else of a step, such as its
    loss, is still of the whole batch. On one device nothing changes.
    """
    everywhere, rows = replicated(mesh).spec, split(mesh).spec

    def own(params, batch_stats, images, key):
        # Devices see other rows each, so each draws its own numbers for them.
        key = jax.random.fold_in(key, jax.lax.axis_index("data"))
        outputs, moments = call_train(network, params, batch_stats, images, key)
        return outputs, jax.tree.map(mean, moments, batch_stats)

    def mean(new, old):  # what no layer has changed is the same everywhere
        if new is old:
            return old
        if jnp.issubdtype(new.dtype, jnp.inexact):
            return jax.lax.pmean(new, "data")
        # A counter, or whether a layer was called before: every device has the same.
        return jax.lax.pmax(new.astype(jnp.int32), "data").astype(new.dtype)

    ins, outs = (everywhere, everywhere, rows, everywhere), (rows, everywhere)
    divided = jax.shard_map(own, mesh=mesh, in_specs=ins, out_specs=outs)
    return network._replace(train=divided)


def normalised(students: dict, batch_norm: str, mesh: Mesh) -> dict:
    """Students with batch norms over the whole batch, "global", or "device"'s part."""
    if batch_norm == "global":
        return students
    return {
        name: dataclasses.replace(s, network=per_device(s.network, mesh))
        for name, s in students.items()
    }


def copy_replicated(tree: PyTree, mesh: Mesh) -> PyTree:
    """Copies arrays onto every device, into buffers of their own, safe to donate."""
    copy = functools.partial(jax.tree.map, jnp.copy)
    return jax.jit(copy, out_shardings=replicated(mesh))(tree)
