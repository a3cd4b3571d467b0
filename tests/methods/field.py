"""The field's methods on a small problem: arguments that make them train at once."""

import jax
import numpy as np

from kdjax.methods import METHODS
from kdjax.models import classifiers
from kdjax.models.ensemble import ensemble
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
    "gdkd": {"warmup_epochs": 0.0},
    "nkd": {},
    "mkl": {"warmup_epochs": 0.0},
    "rld": {"warmup_epochs": 0.0},
    "rc": {},
    "ttm": {"weight": 5.0},
    "wttm": {"weight": 1.0},
    "luminet": {"alpha": 4.0, "warmup_epochs": 0.0},
    "ctkd": {"reverse_epochs": 4.0},
    "ea_kd": {},
    "wkd_l": {"weight": 10.0},
    "reviewkd": {"warmup_epochs": 0.0},
    "fitnets": {},
    "at": {},
    "sp": {},
    "nst": {},
    "kdsvd": {},
    "vid": {},
    "cc": {},
    "wkd_f": {},
    "fsp": {},
    "rkd": {},
    "pkt": {},
    "crd": {"negatives": 32, "width": 16},
    "mlkd": {},
    "crld": {"weak_threshold": 0.1},
    "queue_kl": {"teacher_channels": 24, "queue_length": 32},
    "kdcl": {},
    "ab": {},
    "ft_paraphraser": {},
    "ft": {},
    "ofd": {},
    "jacobian": {},
    "cat_kd": {},
    "simkd": {},
}
TEACHER = staged(problems.CLASSES, width=6)
# Of the student's widths: what compares channel by channel without a connector.
EQUAL = ("fsp",)


def method_of(name: str, **more):
    """A method of CASES; `more` overrides its arguments."""
    import inspect

    build = METHODS[name].build
    takes = inspect.signature(build).parameters
    facts = {key: value for key, value in FACTS.items() if key in takes}
    return build(**facts | CASES[name] | more)


def problem_of(method, devices: int = 1, teacher=TEACHER, **changes):
    """A `Problem` of one student of a method, and a teacher of other widths."""
    network = staged(problems.CLASSES)
    if method.networks > 1:
        network = ensemble((network,) * method.networks)
    if method.reused_classifier is not None:
        network = _reusing(method.reused_classifier, network)
    student = problems.student(method, network=network)
    return problems.Problem(devices, {"student": student}, teacher=teacher, **changes)


def teacher_of(name: str):
    """The teacher for a method of CASES."""
    return staged(problems.CLASSES) if name in EQUAL else TEACHER


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
