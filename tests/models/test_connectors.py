"""`from_module`, and what holds for every connector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from kdjax.models import connectors, layers
from kdjax.models.connectors import from_module
from kdjax.types import ConnectorInputs, Outputs

KEY = jax.random.key(0)
PAIRS = (("stage1", "stage1"), ("stage2", "stage2"))


def outputs(channels, sides, seed, dtype=np.float32):
    """Features of a network with two stages, 1 and 2, of these channels and sides."""
    random = np.random.default_rng(seed)
    features = {
        f"stage{i}": random.normal(size=(4, side, side, c))
        for i, (c, side) in enumerate(zip(channels, sides, strict=True), start=1)
    }
    features["pooled"] = random.normal(size=(4, channels[-1]))
    arrays = {name: jnp.asarray(x, dtype) for name, x in features.items()}
    return Outputs(jnp.zeros((4, 5)), arrays)


def inputs(dtype=np.float32):
    """The student's first stage is twice as high, its second half as high."""
    student = outputs((3, 4), (4, 2), 1, dtype)
    return ConnectorInputs(student, outputs((6, 8), (2, 4), 2, dtype))


# name -> (module, parameters by hand for 3, 4 -> 6, 8 channels, sides 4, 2 -> 2, 4)
FUSION = {"students": ("stage1", "stage2", "pooled")}
CONNECTORS = {
    "hints": (
        connectors.HintRegressors(PAIRS),
        (9 * 3 * 6 + 6 + 2 * 6) + (16 * 4 * 8 + 8 + 2 * 8),
    ),
    "boundary": (
        connectors.BoundaryConnectors(PAIRS),
        (9 * 3 * 6 + 6 + 2 * 6) + (16 * 4 * 8 + 8 + 2 * 8),
    ),
    "overhaul": (
        connectors.OverhaulConnectors(PAIRS),
        (3 * 6 + 2 * 6) + (4 * 8 + 2 * 8),
    ),
    "wasserstein": (
        connectors.WassersteinProjector("stage1", "stage1"),
        9 * 3 * 6 + 6 + 2 * 6,
    ),
    "bottleneck": (
        connectors.WassersteinProjector("stage1", "stage2", "bottleneck", 5),
        (3 * 5 + 5) + (9 * 5 * 5 + 5) + (5 * 8 + 8) + 2 * 8,
    ),
    "review": (  # mid 4; attention is 8 -> 2 with bias, not at the deepest level
        connectors.ReviewFusion(FUSION["students"], FUSION["students"]),
        (3 * 4 + 2 * 4 + 8 * 2 + 2 + 9 * 4 * 6 + 2 * 6)
        + (4 * 4 + 2 * 4 + 8 * 2 + 2 + 9 * 4 * 8 + 2 * 8)
        + (4 * 4 + 2 * 4 + 9 * 4 * 8 + 2 * 8),
    ),
    "crd": (
        connectors.LinearEmbeddings(normalise=True, width=7),
        (4 * 7 + 7) + (8 * 7 + 7),
    ),
    "cc": (
        connectors.LinearEmbeddings(normalise=False, width=7),
        (4 * 7 + 7) + (8 * 7 + 7),
    ),
    "queue": (
        connectors.FeatureProjection(local=("stage2", "stage2")),
        2 * (4 * 8 + 8),
    ),
    "vid": (
        connectors.VariationalHeads(PAIRS),
        (3 * 6 + 2 * 6 * 6 + 6) + (4 * 8 + 2 * 8 * 8 + 8),
    ),
    "paraphraser": (
        connectors.Paraphraser("stage2"),
        (9 * (8 * 8 + 8 * 4 + 4 * 4) + 8 + 4 + 4)
        + (9 * (4 * 4 + 4 * 8 + 8 * 8) + 4 + 8 + 8),
    ),
    "translator": (
        connectors.Translator("stage2", "stage2"),
        9 * (4 * 4 + 4 * 4 + 4 * 4) + 4 + 4 + 4 + 2 * (4 + 4 + 4),
    ),
    "scalar": (connectors.Scalar(), 1),
}
NORMED = set(CONNECTORS) - {"crd", "cc", "queue", "vid", "paraphraser", "scalar"}
every = pytest.mark.parametrize("name", CONNECTORS)


@every
def test_init_reads_shapes_alone_and_counts_as_by_hand(name):
    module, count = CONNECTORS[name]
    connector = from_module(module)
    variables = connector.init(KEY, inputs())
    abstract = jax.eval_shape(lambda: inputs())
    for a, b in zip(
        jax.tree.leaves(variables),
        jax.tree.leaves(connector.init(KEY, abstract)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    params, state = variables
    assert sum(x.size for x in jax.tree.leaves(params)) == count
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(variables))
    assert type(params) is dict and type(state) is dict
    assert bool(state) == (name in NORMED)


@every
def test_gradient_reaches_every_parameter_and_the_student(name):
    connector = from_module(CONNECTORS[name][0])
    params, state = connector.init(KEY, inputs())

    @jax.jit
    def step(params, student):
        def loss(params, student, train):
            both = ConnectorInputs(student, inputs().teacher)
            result, after = connector.apply(params, state, both, train)
            leaves = jax.tree.leaves(result)
            total = sum(jnp.sum(jnp.square(x - 0.3)) for x in leaves)
            return total, (result, after)

        # In training a batch norm takes off the biases before it: no gradient there.
        gradients, (_, same) = jax.grad(loss, (0, 1), has_aux=True)(
            params, student, False
        )
        return gradients, same, loss(params, student, True)[1]

    gradients, evaluated, (result, after) = step(params, inputs().student)
    to_params, to_student = gradients
    for path, gradient in jax.tree.leaves_with_path(to_params):
        assert np.isfinite(gradient).all()
        assert np.any(gradient != 0), jax.tree_util.keystr(path)
    reached = any(np.any(g != 0) for g in jax.tree.leaves(to_student.features))
    assert reached == (name not in ("paraphraser", "scalar"))
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(result))
    moved = [np.any(a != b) for a, b in both_leaves(state, after)]
    assert all(moved)
    assert all(np.array_equal(a, b) for a, b in both_leaves(state, evaluated))


def both_leaves(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    return zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)


@every
def test_bfloat16_features_give_float32(name):
    connector = from_module(CONNECTORS[name][0])
    low = inputs(jnp.bfloat16)
    params, state = connector.init(KEY, low)
    result, _ = jax.eval_shape(lambda p: connector.apply(p, state, low, True), params)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves((params, result)))
    exact = jax.tree.map(lambda x: x.astype(np.float32), low)
    for a, b in both_leaves(params, connector.init(KEY, exact)[0]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.errors
@pytest.mark.parametrize(
    "module",
    [
        connectors.HintRegressors((("stage1", "stage1"), ("stage9", "stage1"))),
        connectors.ReviewFusion(("stage9",), ("stage1",)),
        connectors.Translator("stage9", "stage1"),
        connectors.LinearEmbeddings(True, feature="stage9"),
    ],
)
def test_a_missing_feature_is_named_with_those_that_exist(module):
    message = "the student has no feature 'stage9'; it has pooled, stage1, stage2"
    with pytest.raises(ValueError, match=message):
        from_module(module).init(KEY, inputs())


class Returning(nn.Module):
    """Has batch norm, dropout or a collection of its own, as it is asked to."""

    kind: str

    @nn.compact
    def __call__(self, student, teacher, train: bool):
        x = student.features["stage1"]
        if self.kind == "dropout":
            return nn.Dropout(0.5, deterministic=not train)(x)
        if self.kind == "collection":
            self.variable("memory", "x", jnp.zeros, ())
        if self.kind == "always":
            return layers.BatchNorm(3, jnp.dtype("float32"))(x, True)
        return {"map": x.astype(jnp.bfloat16), "count": jnp.int32(3)}


def test_outputs_come_in_float32_and_whole_numbers_as_they_are():
    connector = from_module(Returning("plain"), rate=0.0)
    assert connector.rate == 0
    result, state = connector.apply({}, {}, inputs(), True)
    assert result["map"].dtype == np.float32 and result["count"].dtype == np.int32
    assert state == {}


@pytest.mark.errors
def test_modules_that_are_no_function_of_their_inputs_are_refused():
    with pytest.raises(ValueError, match="keeps the collections memory"):
        from_module(Returning("collection")).init(KEY, inputs())
    with pytest.raises(ValueError, match="random numbers"):
        from_module(Returning("dropout")).apply({}, {}, inputs(), True)
    connector = from_module(Returning("always"))
    params, state = connector.init(KEY, inputs())
    with pytest.raises(ValueError, match="use_running_average"):
        connector.apply(params, state, inputs(), False)
    with pytest.raises(ValueError, match="rate"):
        from_module(Returning("plain"), rate=-1.0)
