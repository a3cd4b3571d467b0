"""What methods say that they read of a sample is what their programs depend on."""

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Var

from kdjax import losses
from kdjax.methods import METHODS
from kdjax.methods import terms as shared
from kdjax.methods.base import Memory, Method, Term
from kdjax.methods.fallback import with_label_fallback
from kdjax.supervision import Supervisor, fixed, reads, remembered, stateless
from kdjax.types import Batch, Outputs
from tests.methods import field
from tests.objectives import objective

WARM = {"base": 4.0, "spread": 4.0}
REMEMBERED = {"memory_decay": 0.9, "num_examples": 9}
PEERS = {"noise_rate": 0.4, "steps_per_epoch": 3.0}
TABLE = {"num_examples": 9, "num_classes": 5}
CASES = [
    ("kd", {"alpha": 1.0, "temperature": 1.0}, ""),
    ("kd", {"alpha": 1.0, "temperature": float("inf")}, ""),
    ("kd", {"alpha": 0.9, "temperature": 1.0}, "label"),
    ("kd", {"alpha": 0.0, "temperature": 1.0}, "label"),
    ("mse", {}, ""),
    ("mse", {"alpha": 0.5}, "label"),
    ("smooth_l1", {}, ""),
    ("smooth_l1", {"alpha": 0.5}, "label"),
    ("born_again", {}, ""),
    ("chain", {"link": "ce"}, "label"),
    ("chain", {"link": "kl"}, ""),
    ("noisy_teacher", {}, ""),
    ("ensemble", {}, ""),
    ("ensemble", {"combine": "mean_probabilities"}, ""),
    ("ensemble", {"combine": "sum_logits", "loss": "mse", "alpha": 0.5}, "label"),
    ("dtd_flsw", WARM, ""),
    ("dtd_flsw", WARM | {"similarity": "probabilities"}, ""),
    ("dtd_flsw", WARM | REMEMBERED, "index"),
    ("dtd_flsw", WARM | {"eta": 0.8}, "label"),
    ("dtd_flsw", WARM | {"label_weight": 0.1}, "label"),
    ("dtd_cwsm", {}, ""),
    ("dtd_cwsm", REMEMBERED | {"eta": 0.8}, "label index"),
    ("dtd_la", WARM, "label"),
    ("dtd_la", WARM | {"adjustment": "lsr"} | REMEMBERED, "label index"),
    ("dtd_la", WARM | {"adjustment": "shift_last", "confusion": "cwsm"}, "label"),
    ("ka_ps", {}, "label"),
    ("ka_lsr", {}, "label"),
    ("lr_kl", {}, "label"),
    ("lr_kl", {"gamma": 0.0, "only_wrong": True}, "label"),
    ("lr_mse", {"num_classes": 5}, "label"),
    ("lr_ds", {"num_classes": 5}, "label"),
    ("ds", {"temperature": 4.0}, "label"),
    ("ce", {}, "label"),
    ("gce", {}, "label"),
    ("sce", {}, "label"),
    ("elr", TABLE, "label index"),
    ("tickets", {}, "label"),
    ("tickets", {"loss": "elr"} | TABLE, "label index"),
    ("coteaching", PEERS, "label"),
    ("coteaching_plus", PEERS, "label"),
    (
        "dividemix",
        {"num_classes": 5, "steps_per_epoch": 3.0, "warmup_epochs": 1.0},
        "label",
    ),
]


def traced(method) -> set[str]:
    """Which of "index" and "label" the objective depends on, by its program."""
    number = jax.ShapeDtypeStruct((2,), jnp.int32)
    logits = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    own = jax.ShapeDtypeStruct((2, method.networks, 5), jnp.float32)
    student = logits if method.networks == 1 else own
    given = (student, logits, jax.ShapeDtypeStruct((2, 3, 5), jnp.float32))

    def loss(sample, student, teacher, members):
        if method.mixture is not None:
            return mixed_objective(method, sample, student)
        return objective(
            method,
            student,
            teacher,
            sample["label"],
            index=sample["index"],
            members=members,
        )

    sample = {"index": number, "label": number}
    jaxpr = jax.make_jaxpr(loss)(sample, *given).jaxpr
    used = {x for x in jaxpr.outvars if isinstance(x, Var)}
    for equation in reversed(jaxpr.eqns):
        if used & set(equation.outvars):
            used |= {x for x in equation.invars if isinstance(x, Var)}
    # The arguments of a jaxpr are in the order of sorted keys.
    return {x for x, var in zip(sample, jaxpr.invars, strict=False) if var in used}


def mixed_objective(method, sample, student):
    image = jnp.ones((2, 4, 4, 1))
    batch = Batch(image, **sample, epoch=None, sample_info={}, second=image)
    rows = jnp.concatenate([student, student])
    outputs = Outputs(rows.mean(1), {}, rows)
    clean = {"clean": jnp.ones((2, method.networks))}
    _, mixed = method.mixture.prepare(lambda images: outputs, batch, clean, 9)
    labels = jnp.concatenate([sample["label"]] * 2)
    return objective(method, rows, None, labels, mixed=mixed)


@pytest.mark.parametrize("name, arguments, expected", CASES)
def test_declared_is_what_the_formula_has_and_what_tracing_finds(
    name, arguments, expected
):
    method = METHODS[name].build(**arguments)
    assert method.reads == set(expected.split())
    assert traced(method) == method.reads


def test_every_method_is_among_the_cases():
    assert {name for name, *_ in CASES} | set(field.CASES) == set(METHODS)


@pytest.mark.parametrize("name, arguments, _", CASES)
def test_a_label_fallback_reads_labels(name, arguments, _):
    method = METHODS[name].build(**arguments)
    if method.supervisor is not None:
        method = with_label_fallback(method)
        assert "label" in method.reads and traced(method) == method.reads


def test_what_does_not_say_is_taken_to_read_all_that_it_may():
    def rule(signals):
        return signals.teacher_logits

    def terms(**stages):
        rules = Supervisor(**{"temperature": fixed(1.0)} | stages)
        return Method(terms=(shared.soft_logits(1.0),), supervisor=rules)

    assert terms().reads == set()
    assert terms(logits=(rule,)).reads == {"label", "index"}
    assert terms(logits=(reads("index")(rule),)).reads == {"index"}
    warm = stateless(lambda signals: 1.0 + signals.selection)
    assert terms(temperature=warm).reads == {"label", "index"}
    assert terms(temperature=remembered(fixed(1.0), 9, 0.5)).reads == {"index"}
    assert Method(terms=(Term("mine", 1.0, lambda inputs: 0.0),)).reads == {"label"}
    free = Term("mine", 1.0, lambda inputs: 0.0, reads=frozenset())
    memory = Memory(init=tuple, update=lambda state, inputs: ((), state))
    assert Method(terms=(free,), memory=memory).reads == {"label", "index"}


def test_a_teacher_is_needed_with_a_supervisor_or_where_the_method_says_so():
    labels = (shared.hard_label(1.0),)
    assert not Method(terms=labels).needs_teacher
    assert Method(terms=labels, needs_teacher=True).needs_teacher
    assert Method(
        terms=labels, supervisor=Supervisor(temperature=fixed(1))
    ).needs_teacher
    distance = shared.match_logits("distance", 1.0, losses.squared_error)
    assert with_label_fallback(
        Method(terms=(distance,), supervisor=Supervisor(temperature=fixed(1)))
    ).needs_teacher
    assert METHODS["kd"].build(alpha=0.5, temperature=4).needs_teacher
    assert not METHODS["kd"].build(alpha=0, temperature=4).needs_teacher
