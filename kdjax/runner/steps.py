"""The compiled steps of a run, as the loop wants them."""

import collections
import functools

import jax
import numpy as np

from kdjax.data.loaders import in_memory, loader
from kdjax.experiment.build import Experiment
from kdjax.runner.sample_weights import SampleInfo
from kdjax.training import sharding
from kdjax.training.dispatch import many_steps, steps_per_dispatch
from kdjax.training.step import make_train_step


class Steps:
    """One step after the other; on accelerators several of them in one dispatch."""

    def __init__(
        self,
        experiment: Experiment,
        variables,
        mesh,
        sample_info: SampleInfo,
        most: int | None = None,
    ):
        """Places the images; compiles nothing yet.

        Args:
          experiment: what to train.
          variables: the teacher's, on the devices; None without one.
          mesh: what to train on.
          notes: of the samples.
          most: steps of a dispatch; None: what is usual for the platform.
        """
        self.mesh, self.sample_info, self.cache = mesh, sample_info, experiment.cache
        stored = loader.is_streamed(experiment.train)
        if stored:
            most = 1  # a ticket is a whole batch of pictures, a step long
        if most is None:
            most = steps_per_dispatch(mesh.devices.flat[0].platform)
        self.most = most
        # Of a stored set, the steps under way: their pictures are on the devices.
        self._under_way = collections.deque() if stored else None
        # With a cache the program has no teacher in it, and no weights of one.
        teacher = experiment.teacher if self.cache is None else None
        self.variables = variables if teacher else None
        decode = self.cache.decode if self.cache else None
        step = make_train_step(
            sharding.normalised(experiment.students, experiment.batch_norm, mesh),
            teacher.network if teacher else None,
            functools.partial(in_memory.gather_batch, decode=decode),
            lambda batch, view: experiment.augment.train(batch, experiment.seed, view),
            stacked=experiment.stacked,
        )
        if most == 1:
            self._one = sharding.compile_train_step(step, mesh)
        else:
            self._many = sharding.compile_train_steps(many_steps(step, most), mesh)
        self.feed = loader.make_loader(
            experiment.train,
            mesh,
            seed=experiment.seed,
            batch_size=experiment.batch_size,
        )

    def ready(self, number: int, most: int):
        """(how many steps come next, their tickets on the devices)."""
        if self.most == 1:
            batch_spec, parts = self._batch_spec(number), self.feed.parts
            return 1, sharding.place_rows(batch_spec, self.mesh, parts=parts)
        count = self.sample_info.same_for(number, min(most, self.most))
        batch_specs = [self._batch_spec(number + i) for i in range(count)]
        # All programs have as many tickets; what is after the last one is not read.
        batch_specs += batch_specs[-1:] * (self.most - count)
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *batch_specs)
        return count, sharding.place_rows(stacked, self.mesh, axis=1)

    def run(self, states, number: int, count: int, batch_specs):
        """(states, metrics) after those steps."""
        source = self.feed.source | {
            "sample_info": self.sample_info.before(number, states)
        }
        if self.most == 1:
            made = self._one(states, self.variables, source, batch_specs)
            if self._under_way is not None:
                self._wait(made[1])
            return made
        return self._many(states, self.variables, source, batch_specs, count)

    def close(self) -> None:
        """Ends what decodes ahead."""
        self.feed.close()

    def _wait(self, metrics) -> None:
        """Until one step only is under way: while it computes, the pictures of the next
        are decoded and sent, and no more of them are on the devices."""
        self._under_way.append(metrics)
        if len(self._under_way) > 1:
            jax.block_until_ready(self._under_way.popleft())

    def _batch_spec(self, number: int) -> dict:
        batch_spec = self.feed.batch_spec(number)
        if self.cache:
            teacher_outputs = self.cache.rows(batch_spec["index"], batch_spec["epoch"])
            batch_spec = batch_spec | {"teacher_outputs": teacher_outputs}
        return batch_spec
