import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.selection import influence, last_layer
from kdjax.selection.evidence import Evidence
from kdjax.selection.influence import (
    ESTIMATORS,
    gradient_dot,
    influence_scores,
    label_influence,
    parameter_change,
    teacher_influence,
)
from tests.reference import one_hot, softmax
from tests.selection import logistic


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, the last one short."""
    monkeypatch.setattr(last_layer, "BLOCK", 25)


def case(seed, **sizes):
    """A problem and evidence by a network that stands in no minimum."""
    given = logistic.problem(seed, **sizes)
    theta = np.random.default_rng(seed).normal(
        size=(given.inputs.shape[1], given.classes)
    )
    return given, logistic.evidence(given, theta)


def everything(given, evidence):
    return dict(
        evidence=evidence,
        targets=given.targets,
        validation=given.validation,
        damping=given.damping,
        snapshots=[(0.3, evidence), (0.1, evidence)],
        seed=0,
    )


def from_the_equations(given, evidence):
    """g_i(e_y), g_i(q_i), g_V and H, all formed."""
    p, y = softmax(evidence.logits), one_hot(given.labels, given.classes)
    of_label = logistic.gradients(given.inputs, p, y)
    of_teacher = logistic.gradients(given.inputs, p, given.targets)
    h = logistic.hessian(given.inputs, p, given.damping)
    return of_label, of_teacher, of_label[given.validation].mean(0), h


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_the_equations(seed):
    given, evidence = case(seed, features=4, classes=3 + seed)
    of_label, of_teacher, g_v, h = from_the_equations(given, evidence)
    response = np.linalg.solve(h, g_v)
    by = everything(given, evidence)
    for name, expected in {
        "teacher_influence": -(of_teacher - of_label) @ response,
        "label_influence": -of_label @ response,
        "parameter_change": -np.linalg.norm(np.linalg.solve(h, of_label.T), axis=0),
        "gradient_dot": -0.4 * of_label @ g_v,
    }.items():
        scores = influence_scores(name, **by)
        assert scores.values.dtype == np.float64 and scores.rank_correlation == 1
        np.testing.assert_allclose(scores.values, expected, rtol=1e-5, atol=1e-7)
        assert scores.residual <= 1e-8
        assert (scores.iterations > 0) == name.endswith("_influence")


@pytest.mark.parametrize("seed", range(2))
def test_teacher_influence_foresees_retraining_with_the_teachers_target(seed):
    given = logistic.problem(seed)
    theta = logistic.fit(given)
    scores = teacher_influence(
        logistic.evidence(given, theta),
        given.targets,
        given.validation,
        damping=given.damping,
    )
    changes = logistic.change_when_swapped(given, theta)
    assert logistic.rank_correlation(scores.values, changes) > 0.97
    # Not the order alone: the amount, and so the factor n and the sign.
    assert np.polyfit(scores.values, changes, 1)[0] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("seed", range(2))
def test_label_influence_foresees_retraining_without_the_sample(seed):
    given = logistic.problem(seed)
    theta = logistic.fit(given)
    scores = label_influence(
        logistic.evidence(given, theta), given.validation, damping=given.damping
    )
    changes = logistic.change_when_left_out(given, theta)
    assert logistic.rank_correlation(scores.values, -changes) > 0.97
    assert np.polyfit(scores.values, -changes, 1)[0] == pytest.approx(1, abs=0.3)


def test_gradient_dot_foresees_the_step_on_the_sample():
    given, _ = case(3)
    theta = 0.2 * np.random.default_rng(3).normal(size=(4, 3))
    evidence, rate = logistic.evidence(given, theta), 1e-4
    scores = gradient_dot([(rate, evidence)], given.validation)
    p, y = softmax(evidence.logits), one_hot(given.labels, 3)
    steps = rate * logistic.gradients(given.inputs, p, y)
    changes = [
        logistic.validation_loss(given, theta - logistic.matrix(step, 3))
        - logistic.validation_loss(given, theta)
        for step in steps
    ]
    np.testing.assert_allclose(scores.values, changes, rtol=0.01, atol=1e-7)


def test_gradient_dot_weighs_every_snapshot_with_its_rate():
    given, one = case(4)
    _, other = case(5)
    other = other._replace(labels=one.labels)
    alone = [
        gradient_dot([s], given.validation).values for s in ((0.5, one), (2.0, other))
    ]
    both = gradient_dot([(0.25, one), (6.0, other)], given.validation).values
    np.testing.assert_allclose(both, 0.5 * alone[0] + 3 * alone[1], rtol=1e-10)


def test_a_wrong_label_is_better_taught_by_the_teacher():
    """Noise of 20 %: a perfect teacher is selected for the noise first."""
    given = logistic.problem(6, samples=300, features=6)
    draw = np.random.default_rng(6)
    noisy = np.setdiff1d(draw.permutation(300)[:60], given.validation)
    labels = given.labels.copy()
    labels[noisy] = (labels[noisy] + 1) % 3
    truth = 0.9 * one_hot(given.labels, 3) + 0.1 / 3
    theta = logistic.fit(given._replace(labels=labels))
    evidence = logistic.evidence(given, theta)._replace(labels=labels)
    first = np.argsort(teacher_influence(evidence, truth, given.validation).values)
    # Chance would put 6 there.
    assert np.isin(first[:30], noisy).sum() >= 28
    last = np.argsort(label_influence(evidence, given.validation).values)
    assert np.isin(last[-30:], noisy).sum() >= 24


def test_a_teacher_who_repeats_the_label_changes_nothing():
    given, evidence = case(7)
    labels = one_hot(given.labels, 3)
    scores = teacher_influence(evidence, labels, given.validation)
    assert not scores.values.any()
    full, half = (
        teacher_influence(evidence, t, given.validation).values
        for t in (given.targets, (given.targets + labels) / 2)
    )
    np.testing.assert_allclose(half, full / 2, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"random"}))
def test_the_order_of_the_samples_decides_nothing(name):
    given, evidence = case(8)
    scores = influence_scores(name, **everything(given, evidence)).values
    order = np.random.default_rng(8).permutation(60)
    moved = Evidence(*(part[order] for part in evidence))
    again = everything(given, moved)
    again["targets"] = given.targets[order]
    again["validation"] = np.flatnonzero(np.isin(order, given.validation))
    np.testing.assert_allclose(
        influence_scores(name, **again).values, scores[order], rtol=1e-6
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_takes_what_a_network_gives(name):
    """float32 arrays of JAX, int32 labels, logits with an offset per sample."""
    given, evidence = case(9)
    offset = np.linspace(-1000, 1000, 60)[:, None].round()
    as_jax = Evidence(
        jnp.asarray(evidence.logits + offset, jnp.float32),
        jnp.asarray(evidence.features, jnp.float32),
        jnp.asarray(evidence.labels, jnp.int32),
    )
    by = everything(given, as_jax)
    by["targets"] = jnp.asarray(given.targets, jnp.float32)
    expected = influence_scores(name, **everything(given, evidence)).values
    result = influence_scores(name, **by).values
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_approximate_norms_are_as_exact_as_they_say(seed):
    _, evidence = case(seed, samples=300, features=20, classes=8)
    evidence = evidence._replace(logits=evidence.logits / 10)
    exact = parameter_change(evidence)
    rough = parameter_change(evidence, exact_up_to=0, audited=100, seed=seed)
    assert exact.iterations == 0 < rough.iterations
    ratio = rough.values / exact.values
    assert ratio.mean() == pytest.approx(1, abs=0.02) and ratio.std() > 0.01
    correlation = logistic.rank_correlation(rough.values, exact.values)
    assert 0.9 < correlation < 0.999
    assert rough.rank_correlation == pytest.approx(correlation, abs=0.02)


def test_approximate_norms_are_exact_where_inputs_and_classes_do_not_interact():
    _, evidence = case(10)
    evidence = evidence._replace(logits=np.tile([0.3, -1.0, 0.5], (60, 1)))
    exact = parameter_change(evidence, damping=1e-3)
    rough = parameter_change(evidence, damping=1e-3, exact_up_to=0)
    np.testing.assert_allclose(rough.values, exact.values, rtol=1e-4)
    assert rough.rank_correlation == pytest.approx(1)


def test_a_sample_without_gradient_has_not_moved_anything():
    _, evidence = case(11)
    evidence.logits[0] = -5000.0 * (1 - one_hot(evidence.labels[:1], 3))
    for exact_up_to in (0, 4096):
        scores = parameter_change(evidence, exact_up_to=exact_up_to, damping=1.0)
        assert scores.values[0] == 0 > scores.values[1:].max()


@pytest.mark.errors
def test_an_approximation_that_does_not_hold_is_an_error():
    """Sure where the features are large: no product of means says that."""
    draw = np.random.default_rng(0)
    group = np.arange(200) % 2
    features = np.where(group == 0, 30, 1)[:, None] * draw.normal(size=(200, 4))
    logits = np.where(group == 0, 12, 0.1)[:, None] * draw.normal(size=(200, 3))
    evidence = Evidence(logits, features, draw.integers(0, 3, 200))
    with pytest.raises(ValueError, match=r"ranks the samples.*up_to to 15,"):
        parameter_change(evidence, damping=1e-5, exact_up_to=0)
    assert np.isfinite(parameter_change(evidence, damping=1e-5).values).all()


def test_every_estimator_is_public():
    for function in ESTIMATORS.values():
        assert getattr(influence, function.__name__) is function


@pytest.mark.errors
@pytest.mark.parametrize(
    "name, change, message",
    [
        ("teacher_influense", {}, "Did you mean teacher_influence?"),
        ("random", {"dampening": 1}, "no estimator takes dampening. Did you mean damp"),
        ("teacher_influence", {"targets": None}, "teacher_influence needs targets"),
        ("gradient_dot", {"snapshots": None}, "gradient_dot needs snapshots"),
        ("teacher_influence", {"damping": 0.0}, "damping is 0; expected .* above 0"),
        ("label_influence", {"damping": np.nan}, "damping is nan"),
        ("parameter_change", {"damping": -1.0}, "damping is -1"),
        (
            "parameter_change",
            {"audited": 7},
            "audited is 7; expected a whole number from 8",
        ),
        ("label_influence", {"validation": np.arange(0)}, "validation is int64 of sh"),
        ("label_influence", {"validation": np.ones(60, bool)}, "validation is bool"),
        ("label_influence", {"validation": np.array([1, 60])}, "runs from 1 to 60"),
        ("label_influence", {"validation": np.array([-1, 2])}, "runs from -1 to 2"),
        ("gradient_dot", {"validation": np.array([3, 3])}, "1 of 2 different"),
        ("gradient_dot", {"snapshots": []}, "no snapshot is given"),
        ("teacher_influence", {"targets": np.ones((60, 3))}, r"targets\[0\] .* sum 3"),
        (
            "teacher_influence",
            {"targets": np.ones((60, 2)) / 2},
            "targets.*classes=3|logits has classes=3",
        ),
        ("teacher_influence", {"targets": np.full((60, 3), np.nan)}, "60 of 60 rows"),
        ("random", {"seed": -1}, "seed is -1"),
    ],
)
def test_says_what_is_wrong(name, change, message):
    given, evidence = case(12)
    with pytest.raises(ValueError, match=message):
        influence_scores(name, **(everything(given, evidence) | change))


@pytest.mark.errors
def test_says_what_is_wrong_with_the_evidence():
    given, evidence = case(13)
    sure = evidence._replace(logits=5000 * one_hot(given.labels, 3))
    with pytest.raises(ValueError, match="gradient on the 15 validation samples is ex"):
        label_influence(sure, given.validation)
    for exact_up_to in (0, 4096):
        with pytest.raises(ValueError, match="the gradient of every sample is 0"):
            parameter_change(sure, exact_up_to=exact_up_to)
    shuffled = evidence._replace(labels=evidence.labels[::-1])
    with pytest.raises(ValueError, match="labels of snapshot 1 are not those of"):
        gradient_dot([(1.0, evidence), (1.0, shuffled)], given.validation)
    with pytest.raises(ValueError, match="learning rate 0 is 0"):
        gradient_dot([(0.0, evidence)], given.validation)
    broken = evidence._replace(features=evidence.features * np.nan)
    for name in ESTIMATORS:
        with pytest.raises(ValueError, match="features of sample 0 are not finite"):
            influence_scores(name, **everything(given, broken))
