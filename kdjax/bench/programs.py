"""The programs that are timed: the trainer's own step on images made in memory."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.bench import flops, roofline
from kdjax.data.load import Split
from kdjax.data.loaders import in_memory, loader
from kdjax.data.transforms.augment import Augment
from kdjax.methods import kd
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.optimizers import constant_schedule, sgd
from kdjax.training.program import train_program
from kdjax.training.state import Student, initial_state
from kdjax.types import Outputs, PyTree

MODES = ("live", "cached", "input")
SEED = 0
LARGEST = 256 * 2**20  # bytes of all images, the batch permitting
MOST_IMAGES = 50_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """What is distilled into what, and how many images a step takes."""

    teacher: Network
    student: Network
    batch_size: int
    image_size: int
    classes: int
    channels: int = 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.image_size, self.image_size, self.channels

    def images(self) -> jax.ShapeDtypeStruct:
        """A batch as the networks see it."""
        shape = (self.batch_size, *self.image_shape)
        return jax.ShapeDtypeStruct(shape, np.float32)


class Running:
    """A compiled program with its state, its feed and the steps that it has done."""

    def __init__(self, step: Callable, state: PyTree, ready: Callable[[int], PyTree]):
        self._step, self._state, self.ready = step, state, ready

    def step(self, batch_spec: PyTree) -> PyTree:
        self._state = self._step(self._state, batch_spec)
        return self._state


def start(
    problem: Problem,
    mode: str,
    students: int,
    mesh: Mesh,
) -> Running:
    """Builds one program; nothing of its step is compiled yet.

    Args:
      problem: what to train.
      mode: "live": the teacher computes in every step. "cached": its logits come with
        the ticket. "input": images are gathered and augmented, and no network runs.
      students: how many, side by side; "input" has none.
      mesh: what to train on.
    """
    split = fake_split(problem)
    feed = loader.make_loader(split, mesh, seed=SEED, batch_size=problem.batch_size)
    if mode == "input":
        return _input(feed, augment(problem), mesh)
    cached = mode == "cached"
    answers = fake_answers(problem, len(split.label)) if cached else None
    grid = temperature_grid(problem.student, students)

    def ready(number):
        batch_spec = feed.batch_spec(number)
        if cached:
            batch_spec |= {"teacher_outputs": answers[batch_spec["index"]]}
        return sharding.place_rows(batch_spec, mesh)

    program = program_of(problem, grid, mesh, cached)
    states, variables = _initialise(problem, grid, cached, mesh)

    def advance(states, batch_spec):
        return program(states, variables, feed.source, batch_spec)[0]

    return Running(advance, states, ready)


def program_of(
    problem: Problem, grid: dict[str, Student], mesh: Mesh, cached: bool = False
):
    """The trainer's program; `cached`: logits in place of the teacher's forward."""
    return train_program(
        grid,
        None if cached else problem.teacher,
        augment(problem),
        mesh,
        seed=SEED,
        decode=(lambda logits: Outputs(logits, {})) if cached else None,
    )


def load(problem: Problem, mode: str, students: int) -> roofline.Load:
    """What a step of that program asks of the device, for each image."""
    if mode == "input":
        return roofline.Load({}, 0.0)
    # By `train` for both: a network that answers may convolve by a shorter algorithm,
    # and model FLOPs are those of the model.
    teacher_outputs, seen = (
        flops.count(network.train, *_variables(network, problem)).times(
            1.0 / problem.batch_size
        )
        for network in (problem.teacher, problem.student)
    )
    return roofline.load(teacher_outputs if mode == "live" else None, seen, students)


def temperature_grid(network: Network, students: int) -> dict[str, Student]:
    """KD at so many temperatures, from 1 to 20; a single student takes 4."""
    warm = np.geomspace(1.0, 20.0, students) if students > 1 else (4.0,)
    optimizer = sgd(schedule=constant_schedule(learning_rate=0.01))
    return {
        f"tau-{tau:.4g}": Student(
            network=network,
            method=kd.build(alpha=0.9, temperature=float(tau)),
            optimizer=optimizer,
            seed=seed,
        )
        for seed, tau in enumerate(warm)
    }


def augment(problem: Problem) -> Augment:
    """Crop, flip and normalise, as on CIFAR."""
    half = (0.5,) * problem.channels
    padding = max(1, problem.image_size // 8)
    return Augment(
        mean=half, std=(0.25,) * problem.channels, padding=padding, flip=True
    )


def fake_split(problem: Problem) -> Split:
    """Noise that is as large as the batch needs and memory likes."""
    size = int(np.prod(problem.image_shape))
    count = max(problem.batch_size, min(MOST_IMAGES, LARGEST // size))
    rng = np.random.default_rng(SEED)
    image = rng.integers(0, 256, (count, *problem.image_shape), np.uint8)
    label = np.arange(count, dtype=np.int32) % problem.classes
    names = tuple(map(str, range(problem.classes)))
    return Split(image, label, names, {"name": "noise", "split": "train"})


def fake_answers(problem: Problem, count: int) -> np.ndarray:
    """Logits of a teacher that has seen everything before, float32 [count, classes]."""
    rng = np.random.default_rng(SEED + 1)
    return rng.normal(0.0, 3.0, (count, problem.classes)).astype(np.float32)


def _initialise(problem: Problem, grid: dict[str, Student], cached: bool, mesh: Mesh):
    """(every student's first state, the teacher's variables where it computes)."""
    images = np.zeros((2, *problem.image_shape), np.float32)

    def draw():
        states = {name: initial_state(s, images) for name, s in grid.items()}
        if cached:
            return states, None
        return states, problem.teacher.init(jax.random.key(SEED), images)

    return sharding.compile_init(draw, mesh)()


def _input(feed: in_memory.InMemoryLoader, crops: Augment, mesh: Mesh) -> Running:
    def prepare(source, batch_spec):
        return crops.train(in_memory.gather_batch(source, batch_spec), SEED)

    rows = sharding.split(mesh)
    compiled = jax.jit(
        prepare, in_shardings=(sharding.replicated(mesh), rows), out_shardings=rows
    )
    return Running(
        lambda _, batch_spec: compiled(feed.source, batch_spec),
        None,
        lambda number: sharding.place_rows(feed.batch_spec(number), mesh),
    )


def _variables(network: Network, problem: Problem):
    """Abstract (params, batch_stats, images) of a network."""
    images = problem.images()
    variables = jax.eval_shape(network.init, jax.random.key(SEED), images)
    return *variables, images
