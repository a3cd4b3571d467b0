"""ReviewKD: the objective on given features, and how few files a new method touches."""

import pathlib

import jax
import numpy as np
import pytest

import kdjax
from kdjax.methods import reviewkd
from kdjax.models.connectors import ReviewFusion
from kdjax.training.objective import compute_loss
from kdjax.training.state import initial_memory
from kdjax.types import Batch, ConnectorInputs, Outputs
from tests import reference

RANDOM = np.random.default_rng(3)
LABELS = np.array([0, 2, 1], np.int32)


def outputs(width) -> Outputs:
    sizes = {"stage1": 8, "stage2": 4, "stage3": 2}
    sizes |= {f"{name}_preact": side for name, side in sizes.items()}
    maps = {
        name: RANDOM.normal(size=(3, side, side, width)).astype(np.float32)
        for name, side in sizes.items()
    }
    pooled = RANDOM.normal(size=(3, width)).astype(np.float32)
    logits = RANDOM.normal(size=(3, 4)).astype(np.float32)
    return Outputs(logits, maps | {"pooled": pooled})


def context(s, t):
    """Levels of 4, 2 and 1 positions a side, those smaller than the map."""
    s, t = np.float64(s), np.float64(t)
    total, weights, weight = ((s - t) ** 2).mean((1, 2, 3)), 1.0, 1.0
    for side in (4, 2, 1):
        if side >= s.shape[1]:
            continue
        weight, n = weight / 2, s.shape[1] // side
        pooled = [x.reshape(len(x), side, n, side, n, -1).mean((2, 4)) for x in (s, t)]
        total = total + weight * ((pooled[0] - pooled[1]) ** 2).mean((1, 2, 3))
        weights += weight
    return total / weights


@pytest.mark.parametrize("epoch, share", [(0, 1 / 20), (6, 7 / 20), (40, 1.0)])
def test_the_objective_of_the_fused_levels(epoch, share):
    method = reviewkd.build(steps_per_epoch=10, weight=0.6)
    inputs = ConnectorInputs(outputs(5), outputs(7))
    fusion = method.connectors["fusion"]
    params, state = fusion.init(jax.random.key(0), inputs)
    fused, _ = fusion.apply(params, state, inputs, True)
    batch = Batch(None, LABELS, np.arange(3), np.zeros(3, np.int32), {})
    loss, _ = compute_loss(
        method,
        *inputs,
        batch,
        np.ones(3, np.float32),
        np.int32(10 * epoch + 3),
        initial_memory(method),
        connected={"fusion": fused},
    )
    theirs = [inputs.teacher.features[name] for name in reviewkd.BEFORE_RELU]
    theirs[-1] = theirs[-1][:, None, None, :]
    review = sum(context(s, t).mean() for s, t in zip(fused, theirs, strict=True))
    one_hot = reference.one_hot(LABELS, 4)
    labels = reference.cross_entropy(inputs.student.logits, one_hot).mean()
    np.testing.assert_allclose(loss, labels + 0.6 * share * review, rtol=1e-5)


def test_what_it_declares():
    method = reviewkd.build(steps_per_epoch=10)
    assert method.needs_teacher and method.supervisor is None
    assert method.student_features == ("stage1", "stage2", "stage3", "pooled")
    assert method.teacher_features == reviewkd.BEFORE_RELU
    assert "feature 'stage1_preact'" in method.why_not_cached


@pytest.mark.errors
def test_as_many_levels_of_both():
    with pytest.raises(ValueError, match="expected as many names of both"):
        reviewkd.build(steps_per_epoch=10, student_features=("stage1", "pooled"))
    with pytest.raises(ValueError, match="weight is 0"):
        reviewkd.build(steps_per_epoch=10, weight=0.0)


def test_a_method_is_a_loss_a_connector_a_file_and_its_names():
    """Nothing else of the package knows of it."""
    words = ("reviewkd", ReviewFusion.__name__, "hierarchical_context")
    root = pathlib.Path(kdjax.__file__).parent
    files = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if any(word in path.read_text() for word in words)
    }
    files -= {file for file in files if file.startswith("reproduce/")}  # its numbers
    assert files == {
        "losses/features.py",
        "losses/__init__.py",
        "models/connectors/review.py",
        "models/connectors/__init__.py",
        "methods/reviewkd.py",
        "methods/__init__.py",
    }
