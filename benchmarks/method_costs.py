"""What a training step of each method costs against plain KD, in time and memory.

python -m benchmarks.method_costs                 # every method; writes the JSON file
python -m benchmarks.method_costs --methods=crd   # one anew, the others as they are

One pair of small networks on images made in memory. A method and KD run by turns, block
by block, and the time is the median of the blocks' ratios. Memory is what the compiler
gives to temporaries, and the state. docs/generate.py puts both into docs/methods.md.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
import time

import jax
import numpy as np

from kdjax.bench import timing
from kdjax.data.loaders.loader import make_loader
from kdjax.data.registry import Sizes
from kdjax.experiment.described import describe_data
from kdjax.models.platform import traced_for
from kdjax.preflight import memory
from kdjax.preflight.plans import plan
from kdjax.reporting.files import replace_json
from kdjax.reproduce import repdistiller, studies
from kdjax.training import sharding
from kdjax.training.program import freeze_teacher, train_program
from kdjax.training.state import initial_state

FILE = pathlib.Path(__file__).parent.parent / "docs" / "method_costs.json"
PAIR = ("resnet20", "resnet8")
BATCH, EXAMPLES, SEED = 64, 50_000, 0
BASE = "kd"
CLOCK = time.perf_counter


@dataclasses.dataclass(frozen=True)
class Step:
    """A compiled step with its state, and what it takes of memory."""

    program: timing.Program
    bytes: int


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", help="names with commas; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="of a block")
    parser.add_argument("--json", type=pathlib.Path, default=FILE)
    options = parser.parse_args(argv)
    names = options.methods.split(",") if options.methods else repdistiller.FIELD
    record = {"pair": PAIR, "batch_size": BATCH, "device": jax.devices()[0].device_kind}
    record |= {"rounds": options.rounds, "steps": options.steps, "methods": {}}
    if options.methods and options.json.exists():
        record["methods"] = json.loads(options.json.read_text())["methods"]
    base, failed = start(BASE), []
    for name in names:
        try:
            costs = compare(base, start(name), options.rounds, options.steps)
        except Exception as error:  # one method's must not cost the others' hours
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        record["methods"][name] = costs
        print(f"{name:<10} time {costs['time']:.2f}  memory {costs['memory']:.2f}")
        replace_json(options.json, record)
    return 1 if failed else 0


def compare(base: Step, step: Step, rounds: int, steps: int) -> dict[str, float]:
    """Time and memory of a step as multiples of the base's."""
    ratios, number = [], 0
    for own in (base, step):  # what is slow at first
        timing.block(own.program, 0, 2, CLOCK)
    for _ in range(rounds):
        seconds = []
        for own in (base, step):
            taken, _ = timing.block(own.program, number, steps, CLOCK)
            seconds.append(taken)
        number += steps
        ratios.append(seconds[1] / seconds[0])
    median = statistics.median(ratios)
    return {"time": round(median, 2), "memory": round(step.bytes / base.bytes, 2)}


def start(name: str) -> Step:
    """The trainer's step of a method on random images, compiled."""
    mesh = sharding.make_mesh(jax.devices()[:1])
    experiment = _experiment(name)
    network, variables = experiment.teacher.network, experiment.teacher.variables
    images = np.zeros((2, *experiment.train.image.shape[1:]), np.float32)

    def draw():
        pair = network, variables
        students = experiment.students.items()
        return {name: initial_state(one, images, pair) for name, one in students}

    states = sharding.compile_init(draw, mesh)()
    variables = sharding.place_replicated(variables, mesh)
    shape = BATCH, *experiment.train.image.shape[1:]
    variables = freeze_teacher(network, variables, shape, mesh)
    loader = make_loader(experiment.train, mesh, seed=SEED, batch_size=BATCH)
    program = train_program(
        experiment.students, network, experiment.augment, mesh, seed=SEED
    )

    def ready(number):
        return sharding.place_rows(loader.batch_spec(number), mesh)

    with traced_for(mesh.devices.flat[0].platform):
        lowered = program.lower(states, variables, loader.source, ready(0))
    compiled = lowered.compile()

    def step(states, batch_spec):
        return compiled(states, variables, loader.source, batch_spec)[0]

    state_bytes = sum(x.nbytes for x in jax.tree.leaves(states))
    taken = memory.of(compiled).temporaries + state_bytes
    return Step(timing.Program(step, states, ready), taken)


def _experiment(name: str):
    """A config of the method with random images and a teacher of random weights."""
    config = studies.repdistiller_protocol()
    config["model"] = {"name": PAIR[1]}
    config["method"] = repdistiller.method_section(name, "", *PAIR)
    data, rng = describe_data(config["data"], Sizes()), np.random.default_rng(SEED)
    image = rng.integers(0, 256, (EXAMPLES, 32, 32, 3), np.uint8)
    label = rng.integers(0, 100, EXAMPLES).astype(np.int32)
    split = data.train._replace(image=image, label=label)
    data = dataclasses.replace(data, train=split, true_labels=label)
    experiment = plan(config, data, [{"name": PAIR[0]}]).experiment
    network = experiment.teacher.network
    images = np.zeros((2, *image.shape[1:]), np.float32)
    variables = jax.jit(network.init)(jax.random.key(SEED), images)
    teacher = dataclasses.replace(experiment.teacher, variables=variables)
    return dataclasses.replace(experiment, teacher=teacher)


if __name__ == "__main__":
    sys.exit(main())
