import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax import losses
from kdjax.supervision import signals
from kdjax.supervision.pipeline import (
    Supervisor,
    TemperatureRule,
    fixed,
    stateless,
    supervise,
)
from kdjax.types import Supervision
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER

# Small rules, as the papers define them, with the numbers of the worked example.
GOLDEN_SHIFTED = GOLDEN_TEACHER.copy()
GOLDEN_SHIFTED[0, [0, 2]] = GOLDEN_TEACHER[0, [2, 0]]
GOLDEN_SHIFTED[2, [2, 3]] = GOLDEN_TEACHER[2, [3, 2]]
GOLDEN_TARGET = [  # softmax(t / 4)
    [0.398459, 0.213279, 0.241677, 0.146585],
    [0.210137, 0.392587, 0.127454, 0.269821],
    [0.220930, 0.151843, 0.321452, 0.305775],
]
GOLDEN_REVISED = [  # eta = 0.8, temperature 1
    [0.380880, 0.031265, 0.580880, 0.006976],
    [0.049887, 0.807753, 0.006752, 0.135608],
    [0.078535, 0.017524, 0.351971, 0.551971],
]
PRINTED = 1e-6  # of six decimals, and float32's share


def probability_shift(s):
    z = s.teacher_logits
    rows, top = jnp.arange(z.shape[0]), jnp.argmax(z, -1)
    swapped = z.at[rows, top].set(z[rows, s.labels])
    return swapped.at[rows, s.labels].set(z[rows, top])


def label_revision(target, s):
    one_hot = jax.nn.one_hot(s.labels, target.shape[-1], dtype=jnp.float32)
    label = jnp.sum(target * one_hot, -1, keepdims=True)
    beta = 0.8 / (jnp.max(target, -1, keepdims=True) - label + 1.0)
    return beta * target + (1 - beta) * one_hot


def by_confusion(s):
    dot = jnp.sum(s.student_logits * s.teacher_logits, -1)
    norms = [jnp.linalg.norm(z, axis=-1) for z in (s.student_logits, s.teacher_logits)]
    confusion = 1 - dot / (norms[0] * norms[1])
    return 4.0 + 2.0 * (jnp.mean(confusion) - confusion)


def teacher_is_right(s):
    return (jnp.argmax(s.teacher_logits, -1) == s.labels).astype(jnp.float32)


def remembered(examples):
    """Halfway between the table's temperature of a sample and its confusion's."""

    def update(table, s):
        blended = 0.5 * table[s.index] + 0.5 * by_confusion(s)
        return blended, table.at[s.index].set(blended)

    return TemperatureRule(init=lambda: jnp.full(examples, 4.0), update=update)


def golden(**changes):
    given = signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)
    return given._replace(**changes)


def run(given=None, **stages):
    rules = Supervisor(**{"temperature": fixed(4), **stages})
    given = golden() if given is None else given
    state = rules.temperature.init()
    return supervise(rules, state, given)[0]


def test_without_rules_the_softened_teacher_is_the_target():
    s = run()
    np.testing.assert_allclose(s.target, GOLDEN_TARGET, atol=PRINTED)
    np.testing.assert_array_equal(s.logits, GOLDEN_TEACHER)
    assert s.temperature.tolist() == [4.0, 4.0, 4.0]
    assert s.weight.tolist() == [1.0, 1.0, 1.0]


def test_logits_rules_act_before_temperature_and_target():
    s = run(logits=(probability_shift,), temperature=stateless(by_confusion))
    np.testing.assert_array_equal(s.logits, GOLDEN_SHIFTED)
    # The temperature sees the shifted logits: not the numbers of the unshifted ones.
    cosine = (GOLDEN_STUDENT * GOLDEN_SHIFTED).sum(-1) / (
        np.linalg.norm(GOLDEN_STUDENT, axis=-1)
        * np.linalg.norm(GOLDEN_SHIFTED, axis=-1)
    )
    expected = 4 + 2 * (cosine - cosine.mean())
    np.testing.assert_allclose(s.temperature, expected, rtol=1e-5)
    target = reference.softmax(GOLDEN_SHIFTED, expected)
    np.testing.assert_allclose(s.target, target, rtol=1e-5)


def test_logits_rules_run_from_left_to_right():
    def double(s):
        return 2 * s.teacher_logits

    def add(s):
        return s.teacher_logits + 1

    s = run(logits=(double, add))
    np.testing.assert_allclose(s.logits, 2 * GOLDEN_TEACHER + 1, rtol=1e-6)


def test_probability_shift_golden():
    s = run(logits=(probability_shift,))
    value = 16 * losses.kl_divergence(GOLDEN_STUDENT, s.logits, s.temperature)
    np.testing.assert_allclose(value, [0.367589, 0.250179, 0.348448], rtol=1e-5)


def test_confusion_temperature_golden():
    s = run(temperature=stateless(by_confusion))
    np.testing.assert_allclose(
        s.temperature, [3.619426, 4.445487, 3.935087], atol=PRINTED
    )
    value = s.temperature**2 * losses.kl_divergence(
        GOLDEN_STUDENT, s.logits, s.temperature
    )
    np.testing.assert_allclose(value, [0.996658, 0.255901, 0.448244], atol=PRINTED)


def test_label_revision_golden_and_target_rules_run_from_left_to_right():
    s = run(temperature=fixed(1), target=(label_revision,))
    np.testing.assert_allclose(s.target, GOLDEN_REVISED, atol=PRINTED)
    np.testing.assert_array_equal(s.logits, GOLDEN_TEACHER)

    def flatten(target, s):
        return 0.5 * target + 0.125

    s = run(temperature=fixed(1), target=(label_revision, flatten))
    flat = 0.5 * np.array(GOLDEN_REVISED) + 0.125
    np.testing.assert_allclose(s.target, flat, atol=PRINTED)


def test_weights_multiply_the_selection():
    given = golden(selection=np.float32([0.5, 0.25, 2.0]))
    assert run(given).weight.tolist() == [0.5, 0.25, 2.0]
    s = run(given, weight=(teacher_is_right, lambda s: 1.0 + s.selection))
    np.testing.assert_allclose(s.weight, [0.0, 0.3125, 0.0], rtol=1e-6)


def test_a_remembering_rule_gets_its_state_back():
    rules = Supervisor(temperature=remembered(6))
    state = rules.temperature.init()
    first = golden(index=np.array([4, 0, 2]))
    step = jax.jit(lambda state, s: supervise(rules, state, s))
    fresh = np.array([3.619426, 4.445487, 3.935087])
    one, state = step(state, first)
    np.testing.assert_allclose(one.temperature, 2 + fresh / 2, rtol=1e-6)
    expected = np.full(6, 4.0)
    expected[[4, 0, 2]] = 2 + fresh / 2
    np.testing.assert_allclose(state, expected, rtol=1e-6)
    two, state = step(state, first)
    np.testing.assert_allclose(two.temperature, 1 + 0.75 * fresh, rtol=1e-6)
    assert state[1] == 4.0


@pytest.mark.parametrize("masked", [False, True])
def test_at_infinity_the_target_is_uniform_and_finite(masked):
    teacher = 1e5 * GOLDEN_TEACHER
    teacher[0, 0] = -np.inf if masked else 1e5
    s = run(golden(teacher_logits=teacher), temperature=fixed(np.inf))
    assert np.isposinf(s.temperature).all()
    np.testing.assert_array_equal(s.target, np.full((3, 4), 0.25))


@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1.0, 1e30])
def test_targets_are_finite_at_huge_logits(temperature):
    s = run(golden(teacher_logits=1e5 * GOLDEN_TEACHER), temperature=fixed(temperature))
    assert np.isfinite(s.target).all()
    np.testing.assert_allclose(s.target.sum(-1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_supervision_is_float32_whatever_comes_in(dtype):
    low = golden(
        student_logits=jnp.asarray(GOLDEN_STUDENT, dtype),
        teacher_logits=jnp.asarray(GOLDEN_TEACHER, dtype),
        selection=jnp.ones(3, dtype),
    )
    rules = {
        "logits": (probability_shift,),
        "temperature": stateless(by_confusion),
        "weight": (teacher_is_right,),
    }
    s = run(low, **rules)
    assert {leaf.dtype for leaf in jax.tree.leaves(s)} == {jnp.dtype(jnp.float32)}
    wide = jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == dtype else x, low)
    jax.tree.map(np.testing.assert_array_equal, s, run(wide, **rules))


def test_no_gradient_passes_through_supervision():
    def total(student, teacher, selection):
        s = run(
            golden(student_logits=student, teacher_logits=teacher, selection=selection),
            logits=(probability_shift,),
            temperature=stateless(by_confusion),
            target=(label_revision,),
            weight=(lambda s: s.student_logits[:, 0],),
        )
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(s))

    inputs = (
        jnp.asarray(GOLDEN_STUDENT),
        jnp.asarray(GOLDEN_TEACHER),
        jnp.ones(3, jnp.float32),
    )
    for gradient in jax.grad(total, argnums=(0, 1, 2))(*inputs):
        assert (np.asarray(gradient) == 0).all()

    def teacher_outputs(student, teacher):
        s = run(golden(student_logits=student, teacher_logits=teacher))
        return losses.kl_divergence(student, s.logits, s.temperature).sum()

    to_student, to_teacher = jax.grad(teacher_outputs, argnums=(0, 1))(*inputs[:2])
    slope = reference.softmax(GOLDEN_STUDENT, 4.0) - np.array(GOLDEN_TARGET)
    np.testing.assert_allclose(to_student, slope / 4, atol=PRINTED)
    assert (np.asarray(to_teacher) == 0).all()


def test_jitted_equals_eager():
    rules = Supervisor(
        logits=(probability_shift,),
        temperature=stateless(by_confusion),
        target=(label_revision,),
        weight=(teacher_is_right,),
    )
    eager, _ = supervise(rules, (), golden())
    jitted, state = jax.jit(lambda s: supervise(rules, (), s))(golden())
    assert isinstance(jitted, Supervision) and state == ()
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), jitted, eager)


@pytest.mark.errors
@pytest.mark.parametrize(
    "stages, rule",
    [
        ({"logits": (lambda s: s.teacher_logits[:, :2],)}, r"logits\[0\]"),
        ({"temperature": stateless(lambda s: jnp.float32(4))}, "temperature"),
        (
            {"target": (lambda target, s: target, lambda target, s: target[0])},
            r"target\[1\]",
        ),
        ({"weight": (lambda s: s.teacher_logits,)}, r"weight\[0\]"),
    ],
)
def test_a_rule_that_returns_another_shape_is_named(stages, rule):
    with pytest.raises(ValueError, match=f"supervise: the rule {rule} returned shape"):
        run(**stages)


@pytest.mark.errors
@pytest.mark.parametrize("name", ["teacher_logits", "labels", "index", "selection"])
def test_signals_that_disagree_are_named(name):
    given = golden()
    given = given._replace(**{name: getattr(given, name)[:2]})
    with pytest.raises(ValueError, match=f"supervise: {name} has batch=2"):
        run(given)


def test_losses_and_supervision_need_nothing_but_jax_and_jaxtyping():
    program = """
import sys, jax, jax.numpy, jaxtyping
before = set(sys.modules)
import kdjax.losses.logits, kdjax.supervision.pipeline, kdjax.supervision.temperature
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - set(sys.stdlib_module_names) - {"jax", "jaxlib", "numpy"}))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['kdjax']"


@pytest.mark.errors
def test_a_single_label_is_no_batch():
    from kdjax.supervision import signals

    with pytest.raises(ValueError, match=r"signals: labels has shape \(\)"):
        signals(np.zeros(3), np.zeros(3), 1)
