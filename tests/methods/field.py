"""The field's methods on a small problem: arguments that make them train at once."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval as pe

from kdjax.methods import METHODS
from kdjax.models import classifiers
from kdjax.models.ensemble import ensemble
from kdjax.training.objective import compute_loss
from kdjax.training.state import initial_memory
from kdjax.types import Batch, ConnectorInputs, ImageGradients, SecondView
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


def network_of(method):
    """The student's network, with all that the method adds to it."""
    network = staged(problems.CLASSES)
    if method.networks > 1:
        network = ensemble((network,) * method.networks)
    if method.reused_classifier is not None:
        network = _reusing(method.reused_classifier, network)
    return network


def problem_of(method, devices: int = 1, teacher=TEACHER, **changes):
    """A `Problem` of one student of a method, and a teacher of other widths."""
    student = problems.student(method, network=network_of(method))
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


def read_by(method, teacher, features=None) -> set[str]:
    """Which of "label" and "index" the objective depends on, by its program.

    `features` are the names that (student, teacher) have; None: all.
    """
    images = np.zeros((2, problems.SIZE, problems.SIZE, 1), np.float32)
    network = staged(problems.CLASSES)

    def loss(sample, images):
        sides = []
        for side, one in enumerate((network, teacher)):
            variables = one.init(jax.random.key(side), images)
            outputs = one.evaluate(*variables, images)
            names = outputs.features if features is None else features[side]
            own = {name: outputs.features[name] for name in names}
            sides.append((variables, outputs._replace(features=own)))
        (own, student), (theirs, teaching) = sides
        if method.reused_classifier is not None:
            extra = {"projected": jnp.zeros((2, 2, 2, 24))}
            student = student._replace(features=student.features | extra)
        inputs, connected = ConnectorInputs(student, teaching), {}
        for name, one in method.connectors.items():
            params, state = one.init(jax.random.key(0), inputs)
            connected[name], _ = one.apply(params, state, inputs, True)
        batch = Batch(None, sample["label"], sample["index"], sample["index"] * 0, {})
        given = batch, jnp.ones(2), jnp.int32(0), initial_memory(method)
        gradients = ImageGradients(
            *[at_label(x, sample["label"]) for x in (student, teaching)]
        )
        total, (state, _) = compute_loss(
            method,
            *inputs,
            *given,
            key=jax.random.key(1),
            connected=connected,
            second_view=SecondView(student, teaching),
            image_gradients=gradients,
            teacher_variables=theirs,
            student_parameters=own[0],
        )
        return total, state

    numbers = jax.ShapeDtypeStruct((2,), jnp.int32)
    sample = {"index": numbers, "label": numbers}
    closed = jax.make_jaxpr(loss)(sample, images)
    _, used = pe.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return {name for name, is_used in zip(sample, used, strict=False) if is_used}


def at_label(outputs, label):
    """An image's gradient stands for its label's logit: both depend on the label."""
    picked = jnp.take_along_axis(outputs.logits, label[:, None], axis=-1)
    return jnp.ones((2, 4, 4, 1)) * picked[:, :, None, None]
