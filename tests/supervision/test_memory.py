import jax
import numpy as np
import pytest

from kdjax import losses
from kdjax.supervision import signals
from kdjax.supervision.memory import remembered
from kdjax.supervision.pipeline import Supervisor, TemperatureRule, fixed, supervise
from kdjax.supervision.temperature import by_confusion
from kdjax.training.sharding import make_mesh, replicated, split
from kdjax.types import Signals
from tests import reference
from tests.reference import GOLDEN_LABELS, GOLDEN_STUDENT, GOLDEN_TEACHER


def of(student, teacher, **changes):
    labels = np.zeros(len(student), np.int32)
    return signals(student, teacher, labels)._replace(**changes)


def golden(**changes):
    return signals(GOLDEN_STUDENT, GOLDEN_TEACHER, GOLDEN_LABELS)._replace(**changes)


def compiled(rule, devices):
    """`supervise` as the train step runs it: the batch divided, the state not."""
    mesh = make_mesh(jax.devices()[:devices])
    same, rows = replicated(mesh), split(mesh)
    rules = Supervisor(temperature=rule)
    return jax.jit(
        lambda state, s: supervise(rules, state, s),
        in_shardings=(same, Signals(*[rows] * 5, step=same)),
        out_shardings=(same, same),
        donate_argnums=0,
    )


def blend(table, visited, index, fresh, decay):
    """One batch into a table, in float64: {sample: tau}; the lower of a double."""
    given, kept = [], {}
    for i, tau in zip(index, fresh, strict=True):
        blended = decay * table[i] + (1 - decay) * tau if visited[i] else tau
        given.append(blended)
        kept[i] = min(kept.get(i, np.inf), blended)
    for i, tau in kept.items():
        table[i], visited[i] = tau, True
    return given


def batches(count, size, examples, seed=0):
    """Batches with doubles in them, as across the border of two epochs."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        student, teacher = np.float32(rng.normal(size=(2, size, 5)))
        yield of(student, teacher, index=np.int32(rng.integers(0, examples, size)))


@pytest.mark.parametrize("decay, devices", [(0.0, 1), (0.75, 1), (0.75, 8), (1.0, 8)])
def test_a_memory_against_a_loop(decay, devices):
    rule = remembered(by_confusion(10.0, 8.0), num_examples=12, decay=decay)
    step, state = compiled(rule, devices), rule.init()
    table, visited, doubles = np.zeros(12), np.zeros(12, bool), 0
    for batch in batches(3, 8, 12):
        w = reference.confusion(batch.student_logits, batch.teacher_logits)
        fresh = reference.dynamic_temperature(w, 10, 8, lowest=1.0)
        supervision, state = step(state, batch)
        expected = blend(table, visited, batch.index, fresh, decay)
        np.testing.assert_allclose(supervision.temperature, expected, rtol=1e-5)
        np.testing.assert_allclose(state["table"], table, rtol=1e-5)
        doubles += 8 - len(set(batch.index.tolist()))
    assert doubles > 0  # or they are not tested
    assert not visited.all()  # nor a sample without a batch


def test_a_memory_does_not_depend_on_the_order_within_a_batch():
    rule = remembered(fixed(1.0)._replace(update=by_first_logit), 4, decay=0.5)
    logits = np.float32([[3, 0], [7, 0], [5, 0], [2, 0]])
    index = np.array([1, 1, 1, 3])
    for order in ([0, 1, 2, 3], [2, 1, 0, 3], [1, 3, 2, 0]):
        given = of(logits[order], logits[order], index=index[order])
        temperature, state = rule.update(rule.init(), given)
        np.testing.assert_array_equal(temperature, logits[order, 0])
        np.testing.assert_array_equal(state["table"], [0, 3, 0, 2])


def by_first_logit(state, s):
    return s.student_logits[:, 0], state


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_memory_keeps_the_floor_to_the_last_bit(decay):
    floor = np.float32(1.1)
    rule = TemperatureRule(lambda: (), by_first_logit, lowest=1.1)
    rule = remembered(rule, 200, decay=decay)
    assert rule.lowest == 1.1
    draw, state = np.random.default_rng(0).uniform, rule.init()
    stuck = of(np.full((200, 1), floor), np.zeros((200, 1)), index=np.arange(200))
    for high in (300.0, 1.2, 300.0):  # blends of 300 and the floor round below it
        taus = np.maximum(floor, np.float32(draw(0.9, high, (200, 1))))
        for given in (stuck._replace(student_logits=taus), stuck):
            temperature, state = rule.update(state, given)
            assert (temperature >= floor).all()
    _, state = rule.update(rule.init(), stuck)
    temperature, _ = rule.update(state, stuck)
    assert (temperature <= rule.lowest).all()  # counted by the step as floored


def test_a_memory_hands_on_the_state_of_the_rule_it_wraps():
    inner = remembered(by_confusion(4.0, 2.0), 3, decay=0.5)
    rule = remembered(inner, 3, decay=0.0)
    state = rule.init()
    for _ in range(2):
        temperature, state = rule.update(state, golden())
    np.testing.assert_array_equal(state["rule"]["table"], temperature)


@pytest.mark.parametrize("index", [-1, 3, 2**31 - 1])
def test_a_traced_index_out_of_range_is_nan_and_is_not_written(index):
    rule = remembered(by_confusion(4.0, 2.0), 3, decay=0.5)

    @jax.jit
    def step(given):
        s, state = supervise(Supervisor(temperature=rule), rule.init(), given)
        loss = losses.kl_divergence(given.student_logits, s.logits, s.temperature)
        return s.temperature, loss, state["table"]

    temperature, loss, table = step(golden(index=np.array([0, index, 1])))
    assert np.isnan(temperature).tolist() == [False, True, False]
    assert np.isnan(loss).tolist() == [False, True, False]
    assert (table > 0).tolist() == [True, True, False]


@pytest.mark.errors
@pytest.mark.parametrize("index, low, high", [(-1, -1, 1), (3, 0, 3)])
def test_an_index_out_of_range_is_named(index, low, high):
    rule = remembered(by_confusion(4.0, 2.0), 3, decay=0.5)
    with pytest.raises(ValueError, match=f"index runs from {low} to {high}; .* 0 to 2"):
        rule.update(rule.init(), golden(index=np.array([0, index, 1])))


@pytest.mark.errors
@pytest.mark.parametrize("num_examples", [0, -5, None, 2.5])
def test_a_memory_needs_to_know_how_many_samples_there_are(num_examples):
    with pytest.raises(ValueError, match="remembered: num_examples is .*; expected"):
        remembered(fixed(4.0), num_examples, 0.5)


@pytest.mark.errors
@pytest.mark.parametrize("decay", [-0.1, 1.1, np.nan])
def test_a_decay_outside_zero_to_one_is_refused(decay):
    with pytest.raises(ValueError, match="remembered: decay is"):
        remembered(fixed(4.0), 3, decay)
