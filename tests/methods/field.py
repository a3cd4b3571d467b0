"""The field's methods on a small problem: arguments that make them train at once."""

import jax
import numpy as np

from kdjax.methods import METHODS
from kdjax.models import classifiers
from tests.networks import staged
from tests.training import problems

STEPS_PER_EPOCH = problems.COUNT / 16
FACTS = {
    "steps_per_epoch": STEPS_PER_EPOCH,
    "total_steps": 50,
    "num_examples": problems.COUNT,
    "num_classes": problems.CLASSES,
    "train_labels": problems.split().label,
}
# name -> arguments of `build`, beside FACTS.
CASES: dict[str, dict] = {
    "lskd": {},
    "dkd": {"warmup_epochs": 0.0},
    "dist": {},
    "reviewkd": {"warmup_epochs": 0.0},
    "ab": {},
    "ft_paraphraser": {},
    "ft": {},
    "ofd": {},
    "jacobian": {},
    "cat_kd": {},
    "simkd": {},
}
TEACHER = staged(problems.CLASSES, width=6)


def method_of(name: str, **more):
    """A method of CASES; `more` overrides its arguments."""
    import inspect

    build = METHODS[name].build
    takes = inspect.signature(build).parameters
    facts = {key: value for key, value in FACTS.items() if key in takes}
    return build(**facts | CASES[name] | more)


def problem_of(method, devices: int = 1, **changes) -> problems.Problem:
    """One student of a method, and a teacher of other widths."""
    network = staged(problems.CLASSES)
    if method.reused_classifier is not None:
        network = _reusing(method.reused_classifier, network)
    student = problems.student(method, network=network)
    return problems.Problem(devices, {"student": student}, teacher=TEACHER, **changes)


def _reusing(reused, network):
    """The network with a classifier of the teacher's shape."""
    images = np.zeros((2, problems.SIZE, problems.SIZE, 1), np.float32)
    params, _ = jax.jit(TEACHER.init)(jax.random.key(7), images)
    kernel, bias = classifiers.classifier_of(params, "teacher")
    feature, channels = reused.student_feature, kernel.shape[0]
    reuse = classifiers.Reuse(feature, channels, reused.factor)
    return classifiers.with_reused_classifier(network, reuse, (kernel, bias))


def losses_of(problem, states, start: int, stop: int):
    """(the states after those steps, the loss of each)."""
    values = []
    for number in range(start, stop):
        states, metrics = problem.run(states, number, number + 1)
        values.append(metrics["student"]["loss"])
    return states, np.asarray(jax.device_get(values))
