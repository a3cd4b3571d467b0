"""The train program and the input of its steps, as the loop wants them."""

import collections
import functools

import jax
import numpy as np

from kdjax.data.loaders import loader
from kdjax.training import sharding
from kdjax.training.program import (
    freeze_teacher,
    steps_per_dispatch,
    train_program,
)
from kdjax.types import PyTree


class Steps:
    """The train program and its input, as the loop wants them."""

    def __init__(self, experiment, variables, mesh, sample_info, most=None):
        """Places the images; compiles nothing yet.

        `variables` are the teacher's, on the devices; `most` steps are in a dispatch,
        or one where so many are not to be made.
        """
        self.mesh, self.sample_info, self.cache = mesh, sample_info, experiment.cache
        streamed = loader.is_streamed(experiment.train)
        if streamed:
            most = 1  # a batch_spec brings all images of a step
        self.most = most or steps_per_dispatch(mesh.devices.flat[0].platform)
        # While one step computes, the next is made ready. Of a streamed set its images
        # are decoded and sent, and no more of them are on the devices; of others two
        # may wait, and no more: a signal that is to save the state waits for them all.
        self._under_way, self._ahead = collections.deque(), 1 if streamed else 2
        # With a cache the program has no teacher in it, and no weights of one.
        teacher = experiment.teacher if self.cache is None else None
        rows = experiment.batch_size // experiment.accumulation_steps
        shape = rows, *experiment.train.image.shape[1:]
        self.variables = teacher and freeze_teacher(
            teacher.network, variables, shape, mesh
        )
        make = functools.partial(
            train_program,
            experiment.students,
            teacher.network if teacher else None,
            experiment.augment,
            mesh,
            seed=experiment.seed,
            batch_norm=experiment.batch_norm,
            decode=self.cache.decode if self.cache else None,
            accumulation_steps=experiment.accumulation_steps,
        )
        self.programs = {steps: make(steps=steps) for steps in {1, self.most}}
        sizes = {"seed": experiment.seed, "batch_size": experiment.batch_size}
        self.feed = loader.make_loader(experiment.train, mesh, **sizes)

    def ready(self, number: int, most: int) -> tuple[int, PyTree]:
        """(how many steps come next, their batch_specs on the devices)."""
        # What is left over comes first: both programs compile as the run begins.
        ahead = most % self.most or self.most
        if ahead < self.most or self.sample_info.same_for(number, ahead) < self.most:
            ahead = 1
        if ahead == 1:
            batch_spec, parts = self._batch_spec(number), self.feed.parts
            return 1, sharding.place_rows(batch_spec, self.mesh, parts=parts)
        batch_specs = [self._batch_spec(number + i) for i in range(ahead)]
        stacked = jax.tree.map(lambda *rows: np.stack(rows), *batch_specs)
        return ahead, sharding.place_rows(stacked, self.mesh, axis=1)

    def run(self, states, number: int, count: int, batch_specs):
        """(states, metrics) after those steps."""
        info = self.sample_info.before(number, states)
        source = self.feed.source | {"sample_info": info}
        program = self.programs[count]
        result = program(states, self.variables, source, batch_specs)
        self._under_way.append(result[1])
        if len(self._under_way) > self._ahead:
            jax.block_until_ready(self._under_way.popleft())
        return result

    def close(self) -> None:
        """Ends what decodes ahead."""
        self.feed.close()

    def _batch_spec(self, number: int) -> dict:
        batch_spec = self.feed.batch_spec(number)
        if self.cache:
            outputs = self.cache.rows(batch_spec["index"], batch_spec["epoch"])
            batch_spec = batch_spec | {"teacher_outputs": outputs}
        return batch_spec
