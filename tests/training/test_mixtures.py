"""Labels of mixed images in the step: both count, by their shares, on any devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.data.loaders.batch import gather_batch
from kdjax.methods import ce, gce, kd
from kdjax.methods.base import NOTHING, Method, Term
from tests import reference
from tests.networks import linear
from tests.training import problems
from tests.training.problems import CLASSES, Problem, student

CUT = dataclasses.replace(problems.AUGMENT, cutmix=1.0)
BOTH = dataclasses.replace(CUT, mixup=1.0)
SMOOTHING = 0.1


def problem_of(devices, augment=BOTH):
    methods = {
        "ce": student(ce.build(label_smoothing=SMOOTHING), network=linear(CLASSES)),
        "kd": student(kd.build(alpha=0.9, temperature=4.0), seed=3),
    }
    return Problem(devices, methods, augment=augment)


def host(tree):
    return jax.tree.map(np.array, tree)


@pytest.fixture(scope="module")
def single():
    problem = problem_of(1)
    states, metrics = problem.run(problem.initialise(), 0, 6)
    return problem, host(states), host(metrics)


def label_distribution(batch, partner, share, smoothing):
    """Row by row: the shares of both labels, and every class's part of the rest."""
    rows = np.zeros((len(share), CLASSES))
    labels = np.asarray(batch.label)
    for i, own in enumerate(np.float64(share)):
        rows[i, labels[i]] += own
        rows[i, labels[int(partner[i])]] += 1 - own
    return (1 - smoothing) * rows + smoothing / CLASSES


@pytest.mark.parametrize("augment", [CUT, BOTH])
def test_the_first_losses_are_cross_entropies_with_both_labels(augment):
    problem = problem_of(1, augment)
    states = host(problem.initialise())
    for number in range(9):  # to a batch in which an image is mostly the other one
        batch_spec = jax.tree.map(jnp.asarray, problem.feed.batch_spec(number))
        batch = gather_batch(problem.feed.source, batch_spec)
        images, partner, share = augment.train_mixed(batch, 1)
        if share.min() < 0.5:
            break
    assert share.min() < 0.5 < share.max()
    teacher = problem.teacher.evaluate(*problem.variables, images).logits

    def logits(name):
        own = states[name]
        network = problem.students[name].network
        outputs, _ = network.train(own.params, own.batch_stats, images)
        return np.asarray(outputs.logits, np.float64)

    smooth = label_distribution(batch, partner, share, SMOOTHING)
    sharp = label_distribution(batch, partner, share, 0.0)
    soft = reference.kl_divergence(logits("kd"), np.float64(teacher), 4.0)[0].mean()
    hard = reference.cross_entropy(logits("kd"), sharp).mean()
    _, metrics = problem.run(problem.initialise(), number, number + 1)
    expected = {
        "ce": reference.cross_entropy(logits("ce"), smooth).mean(),
        "kd": 0.1 * hard + 0.9 * 16 * soft,
    }
    for name, loss in expected.items():
        assert float(metrics[name]["loss"]) == pytest.approx(loss, rel=1e-5)
        right = logits(name).argmax(-1) == sharp.argmax(-1)
        assert float(metrics[name]["top1"]) == pytest.approx(right.mean())


def test_it_is_compiled_once(single):
    assert single[0].traces == 1


def test_eight_devices_agree_with_one(single):
    eight = problem_of(8)
    states, metrics = eight.run(eight.initialise(), 0, 6)
    for actual, expected in ((states, single[1]), (metrics, single[2])):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, atol=2e-5, rtol=1e-4),
            host(actual),
            expected,
        )


def test_two_and_four_steps_equal_six_bitwise(single):
    problem = problem_of(1)
    half, _ = problem.run(problem.initialise(), 0, 2)
    # Through host memory and back, as a restored checkpoint comes.
    placed = jax.tree.map(lambda x: jax.device_put(np.array(x), x.sharding), half)
    again, _ = problem.run(placed, 2, 6)
    jax.tree.map(np.testing.assert_array_equal, host(again), single[1])


FREE = Term("free", 1.0, lambda inputs: inputs.student.logits[:, 0], NOTHING)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (gce.build(), "its generalized_cross_entropy reads the label of one sample"),
        (Method(terms=(FREE,), second_view="crop"), "its second view would be another"),
        (
            Method(terms=(FREE,), needs=("image_gradients",), needs_teacher=True),
            "its image gradients are of the logit of one label",
        ),
    ],
)
def test_a_program_refuses_methods_that_need_single_images(method, reason):
    with pytest.raises(
        ValueError, match=f"method cannot train on mixtures .* {reason}"
    ):
        Problem(1, {"method": student(method)}, augment=CUT)
