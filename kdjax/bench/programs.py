"""The programs that are timed: the trainer's own step on images made in memory."""

import dataclasses

import jax
import numpy as np
from jax.sharding import Mesh

from kdjax.bench import flops, roofline
from kdjax.bench.timing import Program
from kdjax.contracts import InputError
from kdjax.data.load import Split
from kdjax.data.loaders.batch import gather_batch
from kdjax.data.loaders.loader import make_loader
from kdjax.data.transforms.augment import Augment
from kdjax.experiment.networks import build_network, check_classes, count_classes
from kdjax.methods import kd
from kdjax.models.network import Network
from kdjax.training import sharding
from kdjax.training.optimizers import sgd
from kdjax.training.program import train_program
from kdjax.training.schedules import constant_schedule
from kdjax.training.state import Student, initial_state
from kdjax.types import Outputs

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

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.image_size, self.image_size, 3


def pair_names(pair: str, example: str) -> list[str]:
    """The names in TEACHER:STUDENT, or in TEACHER,STUDENT where one has a colon."""
    names = pair.split("," if "," in pair else ":")
    if len(names) != 2:
        raise InputError(
            f"--pair is {pair!r}; expected TEACHER:STUDENT, such as {example}, or "
            "TEACHER,STUDENT where a name has a colon."
        )
    return names


def problem_of(
    pair: str, dtype: str | None, *, batch_size: int, image_size: int, classes: int
) -> Problem:
    """The networks of a --pair, checked against the images and classes."""
    networks = []
    for name in pair_names(pair, "wrn_28_4:wrn_16_2"):
        section = {"name": name} | ({"dtype": dtype} if dtype else {})
        network, path = build_network("--pair", section, classes), f"--pair: {name}"
        shape = image_size, image_size, 3
        check_classes(path, count_classes(path, network, shape), classes)
        networks.append(network)
    teacher, student = networks
    sizes = {"batch_size": batch_size, "image_size": image_size, "classes": classes}
    return Problem(teacher=teacher, student=student, **sizes)


def start(problem: Problem, mode: str, students: int, mesh: Mesh) -> Program:
    """Builds one program of so many students; nothing of its step is compiled yet.

    `mode` is "live": the teacher computes in every step; "cached": its logits come with
    the batch; or "input": images are gathered and augmented, and no network runs.
    """
    split, cached = noise_split(problem), mode == "cached"
    loader = make_loader(split, mesh, seed=SEED, batch_size=problem.batch_size)
    logits = noise_logits(problem, len(split.label)) if cached else None

    def ready(number):
        batch_spec = loader.batch_spec(number)
        if cached:
            batch_spec |= {"teacher_outputs": logits[batch_spec["index"]]}
        return sharding.place_rows(batch_spec, mesh)

    if mode == "input":
        prepare = input_program(problem, mesh)
        return Program(lambda _, spec: prepare(loader.source, spec), None, ready)
    grid = temperature_grid(problem.student, students)
    images = np.zeros((2, *problem.image_shape), np.float32)

    def init():
        states = {name: initial_state(s, images) for name, s in grid.items()}
        key = jax.random.key(SEED)
        return states, None if cached else problem.teacher.init(key, images)

    states, variables = sharding.compile_init(init, mesh)()
    program = program_of(problem, grid, mesh, cached)

    def step(states, batch_spec):
        return program(states, variables, loader.source, batch_spec)[0]

    return Program(step, states, ready)


def program_of(
    problem: Problem, students: dict[str, Student], mesh: Mesh, cached: bool = False
):
    """The trainer's program; `cached`: logits in place of the teacher's forward."""
    return train_program(
        students,
        None if cached else problem.teacher,
        augment(problem),
        mesh,
        seed=SEED,
        decode=(lambda logits: Outputs(logits, {})) if cached else None,
    )


def input_program(problem: Problem, mesh: Mesh):
    """Jits (source, batch_spec) -> augmented images, with no network."""

    def prepare(source, batch_spec):
        batch = gather_batch(source, batch_spec)
        return augment(problem).train(batch, SEED)

    same, rows = sharding.replicated(mesh), sharding.split(mesh)
    return jax.jit(prepare, in_shardings=(same, rows), out_shardings=rows)


def load(problem: Problem, mode: str, students: int) -> flops.Work:
    """What a step of that program takes of the device, for each image."""
    if mode == "input":
        return flops.NOTHING
    teacher, student = (
        flops.of_image(network, problem.image_shape, problem.batch_size)
        for network in (problem.teacher, problem.student)
    )
    return roofline.load(teacher if mode == "live" else None, student, students)


def temperature_grid(network: Network, students: int) -> dict[str, Student]:
    """KD at so many temperatures, from 1 to 20; a single student takes 4."""
    temperatures = np.geomspace(1.0, 20.0, students) if students > 1 else (4.0,)
    optimizer = sgd(schedule=constant_schedule(learning_rate=0.01))
    return {
        f"tau-{temperature:.4g}": Student(
            network=network,
            method=kd.build(alpha=0.9, temperature=float(temperature)),
            optimizer=optimizer,
            seed=seed,
        )
        for seed, temperature in enumerate(temperatures)
    }


def augment(problem: Problem) -> Augment:
    """Crop, flip and normalise, as on CIFAR."""
    padding = max(1, problem.image_size // 8)
    return Augment(mean=(0.5,) * 3, std=(0.25,) * 3, padding=padding, flip=True)


def noise_split(problem: Problem) -> Split:
    """As many images as a batch needs and LARGEST allows."""
    size = int(np.prod(problem.image_shape))
    count = max(problem.batch_size, min(MOST_IMAGES, LARGEST // size))
    rng = np.random.default_rng(SEED)
    image = rng.integers(0, 256, (count, *problem.image_shape), np.uint8)
    label = np.arange(count, dtype=np.int32) % problem.classes
    names = tuple(map(str, range(problem.classes)))
    return Split(image, label, names, {"name": "noise", "split": "train"})


def noise_logits(problem: Problem, count: int) -> np.ndarray:
    """In place of a teacher's, float32 [count, classes]."""
    rng = np.random.default_rng(SEED + 1)
    return rng.normal(0.0, 3.0, (count, problem.classes)).astype(np.float32)
