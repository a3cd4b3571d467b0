"""Rules of one method on another: the loss they make, and the pairs without meaning."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from kdjax.experiment.methods import build_method
from kdjax.methods import METHODS
from kdjax.methods.attach import attach, shared_arguments, standardised
from kdjax.methods.base import NOTHING, Memory, Method, Term
from kdjax.methods.fallback import with_label_fallback
from kdjax.methods.terms import hard_label
from kdjax.supervision import Supervisor, by_entropy, fixed, probability_shift, reads
from kdjax.types import Connector
from tests import reference
from tests.methods.outputs import (
    BATCH,
    LABELS,
    SELECTION,
    STUDENT,
    TEACHER,
    check,
    gradient_of,
    labels_only,
    mean_kl,
    value_of,
)
from tests.objectives import inputs

NOW = {"steps_per_epoch": 4.0, "warmup_epochs": 0.0}
WARM = {"base": 4.0, "spread": 4.0}


def build(name, **arguments):
    return METHODS[name].build(**arguments)


def kd(alpha=1.0, temperature=4.0):
    return build("kd", alpha=alpha, temperature=temperature)


def features(**more):
    """A method that compares no logits, with a loss of 1 per sample."""
    term = Term("features", 2.0, lambda given: jnp.ones(BATCH), NOTHING)
    return Method(terms=(hard_label(1.0), term), needs_teacher=True, **more)


def same(first, second):
    for selection in (None, SELECTION):
        pair = (
            value_of(first, selection=selection),
            value_of(second, selection=selection),
        )
        np.testing.assert_allclose(*pair, rtol=1e-5)
        slopes = [
            gradient_of(method, selection=selection) for method in (first, second)
        ]
        np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("ka_ps", {}),
        ("ka_ps", {"eta": 0.7}),
        ("ka_lsr", {}),
        ("dtd_flsw", WARM),
        ("dtd_cwsm", {"base": 4.0}),
        ("dtd_la", WARM),
        ("dtd_la", WARM | {"adjustment": "shift_last"}),
        ("dtd_la", WARM | {"adjustment": "lsr", "eta": 0.9}),
    ],
)
def test_on_kd_it_is_the_method_itself(name, arguments):
    rules = build(name, **arguments)
    same(attach(kd(), rules), rules)


def test_on_kd_others_are_themselves_too():
    lr = build("lr_kl", gamma=0.1, alpha=0.9)
    same(attach(kd(0.9), lr), lr)
    ea = build("ea_kd")
    same(attach(kd(0.9), ea), ea)
    lskd = build("lskd", temperature=2.0, weight=0.9, label_weight=0.1)
    same(standardised(kd(0.9, 2.0)), lskd)
    same(attach(kd(0.9, 2.0), lskd), lskd)


def swapped():
    logits = np.float64(TEACHER).copy()
    for i, y in enumerate(LABELS):
        top = np.argmax(logits[i])
        logits[i, [top, y]] = logits[i, [y, top]]
    return logits


def revised(tau, eta=0.8):
    """tau log p of the revised target, as printed, and the teacher's own constant."""
    plain, soft = reference.softmax(TEACHER), reference.softmax(TEACHER, tau)
    for i, y in enumerate(LABELS):
        beta = eta / (plain[i].max() - plain[i, y] + 1)
        soft[i] *= beta
        soft[i, y] += 1 - beta
    own = tau * np.log(np.exp(np.float64(TEACHER) / tau).sum(-1, keepdims=True))
    return tau * np.log(soft) + own


@pytest.mark.parametrize(
    "rules, teacher", [("ka_ps", swapped()), ("lr_kl", revised(4))]
)
@pytest.mark.parametrize("host", ["dkd", "rld", "gdkd", "mkl", "luminet"])
def test_a_host_is_on_the_adjusted_teacher(host, rules, teacher):
    host = build(host, **NOW)
    given = inputs(host, jnp.asarray(STUDENT), np.float32(teacher), LABELS)
    expected = sum(t.coefficient * t.values(given).mean() for t in host.terms)
    value = value_of(attach(host, build(rules)))
    np.testing.assert_allclose(value, expected, rtol=3e-5)


def test_a_temperature_per_sample_reaches_the_host():
    host, rules = build("dkd", **NOW), build("dtd_flsw", **WARM)
    tau = np.asarray(
        inputs(rules, jnp.asarray(STUDENT), TEACHER, LABELS).supervision.temperature
    )
    parts = [
        tau**2 * part(STUDENT, TEACHER, LABELS, jnp.asarray(tau))
        for part in (losses.decoupled_target, losses.decoupled_nontarget)
    ]
    assert np.ptp(tau) > 0.1
    expected = labels_only() + parts[0].mean() + 8 * parts[1].mean()
    np.testing.assert_allclose(value_of(attach(host, rules)), expected, rtol=1e-5)


def test_beside_a_loss_on_features_stands_that_of_the_rules():
    method = attach(features(), build("ka_ps", label_weight=5.0), 0.7)
    names = [term.name for term in method.terms]
    assert names == ["hard_label", "features", "soft_logits"]
    soft = 16 * mean_kl(STUDENT, swapped(), 4.0)
    check(method, labels_only() + 2 + 0.7 * soft)
    warm = attach(features(), build("dkd", steps_per_epoch=4.0, beta=0.0), 0.5)
    part = 0.5 * value_of(build("dkd", **NOW, beta=0.0)) - 0.5 * labels_only()
    for step, share in ((0, 1 / 20), (400, 1.0)):
        check(warm, labels_only() + 2 + share * part, step=step)


def test_what_the_attached_loss_needs_comes_with_it():
    one = Connector(init=lambda key, given: ((), ()), apply=lambda *all: ((), ()))
    memory = Memory(tuple, lambda state, given: ((), state), NOTHING)
    host = features(
        connectors={"own": one}, needs=("selection",), student_features=("stage1",)
    )
    rules = dataclasses.replace(
        build("ctkd", steps_per_epoch=4.0),
        memory=memory,
        needs=("selection", "teacher_variables"),
        student_features=("pooled",),
        teacher_features=("stage2",),
    )
    method = attach(host, rules)
    assert set(method.connectors) == {"own", "temperature"} and method.memory is memory
    assert method.needs == ("selection", "teacher_variables")
    assert method.student_features == ("stage1", "pooled")
    assert method.teacher_features == ("stage2",)
    assert attach(kd(), build("ensemble")).needs == ("members",)
    with pytest.raises(ValueError, match="both methods have a memory"):
        attach(dataclasses.replace(host, memory=memory), rules)


def test_denominators_of_a_selection_stay():
    host = with_label_fallback(kd(), "sets")
    expected = with_label_fallback(build("lr_kl", gamma=0.0, alpha=1.0), "sets")
    same(attach(host, build("lr_kl")), expected)


def test_rules_of_both_act_the_hosts_first():
    raised = reads()(lambda signals: signals.teacher_logits + jnp.arange(7.0)[None])
    doubled = reads()(lambda signals: 2 * signals.teacher_logits)
    half = reads()(lambda signals: 0.5 * signals.selection)
    host = dataclasses.replace(
        kd(),
        supervisor=Supervisor(temperature=fixed(4.0), logits=(raised,), weight=(half,)),
    )
    rules = dataclasses.replace(
        kd(),
        supervisor=Supervisor(
            temperature=fixed(2.0), logits=(doubled,), weight=(half,)
        ),
    )
    teacher = 2 * (np.float64(TEACHER) + np.arange(7))
    check(attach(host, rules), 0.25 * 4 * mean_kl(STUDENT, teacher, 2.0))


def temperature(method):
    return method.supervisor.temperature


def test_which_temperature_is_taken():
    dynamic, plain = build("dtd_flsw", **WARM), build("ka_ps", temperature=2.0)
    assert temperature(attach(kd(), plain)).constant == 2.0
    assert temperature(attach(kd(), dynamic)) is temperature(dynamic)
    assert temperature(attach(dynamic, plain)) is temperature(dynamic)
    alone = dataclasses.replace(
        plain, supervisor=Supervisor(logits=(probability_shift,))
    )
    assert temperature(attach(kd(), alone)).constant == 4.0
    assert temperature(attach(build("mse"), plain)) is None


def configured(host, **supervisor):
    section = host | {"supervisor": supervisor}
    return build_method("config.student.method", section, steps_per_epoch=4.0)


def test_a_config_that_names_no_temperature_keeps_the_hosts():
    host = {"name": "dist", "temperature": 1.5}
    assert temperature(configured(host, name="ka_ps")).constant == 1.5
    assert temperature(configured(host, name="ka_ps", temperature=3.0)).constant == 3.0
    assert temperature(configured(host, name="lr_kl")).constant == 1.5
    both = {"name": "ka_ps", "supervisor": {"name": "standardise"}}
    method = configured(host, **both)
    assert temperature(method).constant == 1.5
    assert len(method.supervisor.transform) == len(method.supervisor.logits) == 1
    assert shared_arguments(build("mse")) == {} == shared_arguments(features())
    assert shared_arguments(build("dtd_flsw", **WARM)) == {}


def test_weights_attach_to_what_has_no_temperature():
    method = attach(build("ttm"), build("ea_kd"))
    assert temperature(method) is None
    rule = Supervisor(weight=(by_entropy(3.0),))
    same(method, dataclasses.replace(build("ttm"), supervisor=rule))


VIEWS = Method(terms=(hard_label(1.0),), second_view="crop", needs_teacher=True)
PLAIN = {"alpha": 1.0, "temperature": 4.0}


@pytest.mark.errors
@pytest.mark.parametrize(
    "host, rules, message",
    [
        (build("ce"), build("ka_ps"), "looks at no teacher"),
        (VIEWS, build("ka_ps"), "this method compares two views of a sample"),
        (
            kd(),
            build("ce"),
            "the method attached has none; expected one, such as ka_ps",
        ),
        (kd(), build("ds", temperature=4.0), "chooses between teacher and label"),
        (features(), build("lr_mse", lambda1=4.0), "chooses between teacher and label"),
        (
            kd(),
            dataclasses.replace(VIEWS, supervisor=Supervisor()),
            "the method attached compares two views",
        ),
        (kd(), build("dkd", **NOW), "the method attached has no rule"),
        (build("mse"), build("ttm"), "the method attached has no rule"),
        (build("lr_kl"), build("ka_ps"), "revises its targets itself; expected one"),
        (build("ttm"), build("dtd_flsw", **WARM), "has no temperature that a rule"),
        (build("ttm"), build("dtd_la", **WARM), "has no temperature that a rule"),
        (build("mse"), build("lr_kl"), "has no temperature that a rule could give"),
        (
            build("ensemble", loss="mse"),
            build("dtd_flsw", **WARM),
            "has no temperature that a rule",
        ),
        (
            build("dtd_flsw", **WARM),
            build("ensemble", combine="mean_probabilities", temperature=4.0),
            "its target is softened at 4, and this method has a temperature for each",
        ),
        (
            build("dtd_flsw", **WARM, lowest=0.5),
            build("lr_kl", only_wrong=True),
            "need a temperature of 1 or more, and that of this method may be 0.5",
        ),
    ],
)
def test_pairs_without_meaning_are_refused(host, rules, message):
    with pytest.raises(ValueError, match=f"supervisor: .*{message}"):
        attach(host, rules)


@pytest.mark.errors
def test_what_else_is_refused():
    with pytest.raises(ValueError, match="weight is 2; this method compares logits"):
        attach(kd(), build("ka_ps"), 2.0)
    with pytest.raises(ValueError, match="standardise acts on logits.* or lskd"):
        standardised(features())
    with pytest.raises(ValueError, match="looks at no teacher"):
        standardised(build("ce"))
