"""A small problem with everything in it: two students, one teacher, eight classes."""

import os

import jax
import numpy as np

from kdjax.data.load import Split
from kdjax.data.loaders import loader
from kdjax.data.transforms.augment import Augment
from kdjax.methods import kd, mse
from kdjax.training import sharding
from kdjax.training.optimizers import sgd
from kdjax.training.program import train_program
from kdjax.training.schedules import constant_schedule
from kdjax.training.state import Student, initial_state
from tests.networks import linear, tiny

CLASSES, SIZE, COUNT = 8, 8, 64
AUGMENT = Augment(mean=(0.5,), std=(0.25,), padding=1, flip=True)


def split(count=COUNT) -> Split:
    rng = np.random.default_rng(0)
    label = np.arange(count, dtype=np.int32) % CLASSES
    image = rng.integers(0, 256, (count, SIZE, SIZE, 1), dtype=np.uint8)
    # The label is written into the image, so there is something to learn.
    image[:, :2] = (label * 30)[:, None, None, None]
    names = tuple(map(str, range(CLASSES)))
    return Split(image, label, names, {"name": "made", "split": "train"})


def student(method, seed=0, learning_rate=0.05, network=None) -> Student:
    schedule = constant_schedule(learning_rate=learning_rate)
    return Student(
        network=network or tiny(CLASSES),
        method=method,
        optimizer=sgd(schedule=schedule),
        seed=seed,
    )


def students() -> dict[str, Student]:
    return {
        "kd": student(kd.build(alpha=0.9, temperature=4.0)),
        "mse": student(mse.build(), seed=3, network=linear(CLASSES)),
    }


class Problem:
    """Compiled pieces on so many devices."""

    def __init__(self, devices, students, batch_size=16, teacher=True, **changes):
        self.mesh = sharding.make_mesh(jax.devices()[:devices])
        self.students = students
        self.teacher = linear(CLASSES) if teacher is True else teacher or None
        images = np.zeros((2, SIZE, SIZE, 1), np.float32)
        init = self.teacher.init if self.teacher else lambda *_: None
        self.variables = sharding.compile_init(init, self.mesh)(
            jax.random.key(7), images
        )
        self.traces, self.crops = 0, changes.get("augment", AUGMENT)
        self.feed = loader.make_loader(
            changes.get("data", split()),
            self.mesh,
            seed=1,
            batch_size=batch_size,
            sample_info=changes.get("sample_info"),
        )
        self.compiled = self.program()
        pair = self.teacher, self.variables
        self.shardings = sharding.of_states(students, self.mesh)
        self.initialise = sharding.compile_init(
            lambda: {n: initial_state(s, images, pair) for n, s in students.items()},
            self.mesh,
            self.shardings,
        )

    def program(self, **changes):
        """The jitted program; `self.traces` counts how often it is traced."""
        return train_program(
            self.students, self.teacher, self, self.mesh, seed=1, **changes
        )

    def train(self, batch, seed, view, kind):
        self.traces += view == 0
        return self.crops.train(batch, seed, view, kind)

    def train_mixed(self, batch, seed):
        self.traces += 1
        return self.crops.train_mixed(batch, seed)

    def compile_as_users_do(self, program, batch_spec):
        """Without the flag of tests' programs that moves last digits: conftest.py."""
        fixed = self.variables, self.feed.source
        options = {}
        if "xla_cpu_use_fusion_emitters" in os.environ["XLA_FLAGS"]:
            options["xla_cpu_use_fusion_emitters"] = True
        lowered = program.lower(self.initialise(), *fixed, batch_spec)
        return lowered.compile(options)

    @property
    def is_mixed(self):
        return self.crops.is_mixed

    def run(self, states, start, stop):
        metrics = None
        for number in range(start, stop):
            batch_spec = sharding.place_rows(self.feed.batch_spec(number), self.mesh)
            states, metrics = self.compiled(
                states, self.variables, self.feed.source, batch_spec
            )
        return states, metrics
