"""Connectors beside float64 NumPy, as their papers and public codes print them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdjax.losses.maps import adaptive_average_pool
from kdjax.models import connectors
from kdjax.models.connectors import from_module, maps
from kdjax.types import ConnectorInputs, Outputs

KEY = jax.random.key(0)


def features(seed, **shapes):
    random = np.random.default_rng(seed)
    arrays = {n: np.float32(random.normal(size=s)) for n, s in shapes.items()}
    return Outputs(np.zeros((len(next(iter(arrays.values()))), 5)), arrays)


def prepared(module, inputs):
    """(connector, params, state), every value drawn, so none is 0 or 1."""
    connector = from_module(module)
    random = np.random.default_rng(9)
    return connector, *jax.tree.map(
        lambda x: np.float32(random.uniform(0.2, 0.9, x.shape)),
        connector.init(KEY, inputs),
    )


def convolve(x, weights, stride=1, pad=0):
    """PyTorch's Conv2d, position by position."""
    kernel, bias = weights["kernel"], weights.get("bias", 0.0)
    x = np.pad(np.float64(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    k, l = kernel.shape[:2]
    height, width = (x.shape[1] - k) // stride + 1, (x.shape[2] - l) // stride + 1
    y = np.zeros((len(x), height, width, kernel.shape[3]))
    for i in range(height):
        for j in range(width):
            patch = x[:, i * stride : i * stride + k, j * stride : j * stride + l]
            y[:, i, j] = np.einsum("bhwc,hwcd->bd", patch, np.float64(kernel))
    return y + bias


def convolve_transposed(x, weights, stride, pad):
    """PyTorch's ConvTranspose2d: every input adds its kernel to the output."""
    kernel = np.float64(weights["kernel"])
    k, sides = len(kernel), [(n - 1) * stride + len(kernel) for n in x.shape[1:3]]
    y = np.zeros((len(x), *sides, kernel.shape[3]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            add = np.einsum("bc,hwcd->bhwd", np.float64(x[:, i, j]), kernel)
            y[:, i * stride : i * stride + k, j * stride : j * stride + k] += add
    return y[:, pad : sides[0] - pad, pad : sides[1] - pad] + weights["bias"]


def normalise(x, weights):
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(var + 1e-5) * weights["scale"] + weights["bias"]


def relu(x):
    return np.maximum(x, 0)


def nearest(x, side):
    index = [i * x.shape[1] // side for i in range(side)]
    return x[:, index][:, :, index]


def close(value, expected, rtol=2e-5):
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=2e-5)


@pytest.mark.parametrize("sides", [(8, 4), (2, 4), (5, 3), (4, 4)])
def test_hint_regressors_are_fitnets_of_repdistiller(sides):
    student, teacher = sides
    inputs = ConnectorInputs(
        features(1, stage2=(3, student, student, 3)),
        features(2, stage2=(3, teacher, teacher, 5)),
    )
    module = connectors.HintRegressors((("stage2", "stage2"),))
    connector, params, state = prepared(module, inputs)
    weights, x = params["stage2"], inputs.student.features["stage2"]
    y = {
        (8, 4): lambda: convolve(x, weights["conv"], stride=2, pad=1),
        (2, 4): lambda: convolve_transposed(x, weights["conv"], stride=2, pad=1),
    }.get(sides, lambda: convolve(x, weights["conv"]))()
    result, _ = connector.apply(params, state, inputs, True)
    close(result["stage2"], relu(normalise(y, weights["norm"])))
    boundary = from_module(connectors.BoundaryConnectors(module.pairs))
    result, _ = boundary.apply(params, state, inputs, True)
    close(result["stage2"], normalise(y, weights["norm"]))


def test_review_fusion_is_that_of_the_public_code():
    """Student 4x4, 2x2 and a vector; the teacher's maps are 3x3, 4x4 and a vector."""
    names = ("stage1", "stage2", "pooled")
    student = features(1, stage1=(3, 4, 4, 3), stage2=(3, 2, 2, 4), pooled=(3, 4))
    teacher = features(2, stage1=(3, 3, 3, 6), stage2=(3, 4, 4, 8), pooled=(3, 8))
    inputs = ConnectorInputs(student, teacher)
    module = connectors.ReviewFusion(names, names)
    connector, params, state = prepared(module, inputs)
    result, _ = jax.jit(connector.apply, static_argnums=3)(params, state, inputs, True)
    fused, expected = None, []
    for level in (2, 1, 0):
        x = np.float64(student.features[names[level]])
        x = x[:, None, None] if x.ndim == 2 else x
        weights = params[f"level{level + 1}"]
        x = normalise(convolve(x, weights["conv1"]), weights["norm1"])
        if fused is not None:
            deeper = nearest(fused, x.shape[1])
            z = convolve(np.concatenate([x, deeper], -1), weights["attention"])
            z = 1 / (1 + np.exp(-z))
            x = x * z[..., :1] + deeper * z[..., 1:]
        fused = nearest(x, (3, 4, 1)[level])
        y = convolve(fused, weights["conv2"], pad=1)
        expected.insert(0, normalise(y, weights["norm2"]))
    assert len(result) == 3
    for value, reference in zip(result, expected, strict=True):
        close(value, reference, rtol=1e-4)


def test_variational_heads_pool_first_and_start_at_their_variance():
    inputs = ConnectorInputs(
        features(1, stage1=(3, 4, 4, 3)), features(2, stage1=(3, 2, 2, 5))
    )
    module = connectors.VariationalHeads((("stage1", "stage1"),))
    _, first = module.init_with_output(KEY, *inputs, True)
    rho = np.float64(first["params"]["stage1"]["rho"])
    np.testing.assert_allclose(rho, np.log(np.exp(5 - 1e-5) - 1), rtol=1e-6)
    connector, params, state = prepared(module, inputs)
    result, _ = connector.apply(params, state, inputs, True)
    x = np.float64(inputs.student.features["stage1"])
    x, weights = x.reshape(3, 2, 2, 2, 2, 3).mean((2, 4)), params["stage1"]
    x = relu(convolve(x, weights["conv1"]))
    x = relu(convolve(x, weights["conv2"]))
    close(result["stage1"]["mean"], convolve(x, weights["conv3"]))
    close(result["stage1"]["rho"], weights["rho"])


def test_translator_is_three_normed_convolutions():
    inputs = ConnectorInputs(
        features(1, stage3=(3, 3, 3, 3)), features(2, stage3=(3, 3, 3, 4))
    )
    connector, params, state = prepared(connectors.Translator(), inputs)
    result, _ = connector.apply(params, state, inputs, True)
    x, weights = inputs.student.features["stage3"], params["encoder"]
    for i in (1, 2, 3):
        x = normalise(convolve(x, weights[f"conv{i}"], pad=1), weights[f"norm{i}"])
        x = np.where(x > 0, x, 0.1 * x)
    close(result["factor"], x, rtol=1e-4)


def test_overhaul_and_wasserstein_connectors_are_linear_before_their_norm():
    inputs = ConnectorInputs(
        features(1, stage3=(3, 4, 4, 3)), features(2, stage3=(3, 4, 4, 5))
    )
    overhaul = connectors.OverhaulConnectors((("stage3", "stage3"),))
    connector, params, state = prepared(overhaul, inputs)
    x = inputs.student.features["stage3"]
    y = normalise(convolve(x, params["stage3_conv"]), params["stage3_norm"])
    close(connector.apply(params, state, inputs, True)[0]["stage3"], y)
    bottleneck = connectors.WassersteinProjector(form="bottleneck", width=4)
    connector, params, state = prepared(bottleneck, inputs)
    x = convolve(convolve(x, params["conv1"]), params["conv2"], pad=1)
    y = relu(normalise(convolve(x, params["conv3"]), params["norm"]))
    close(connector.apply(params, state, inputs, True)[0], y)


def test_feature_projection_maps_every_position():
    student = features(1, pooled=(3, 40), stage3=(3, 2, 2, 40))
    teacher = features(2, pooled=(3, 50), stage3=(3, 4, 4, 50))
    inputs = ConnectorInputs(student, teacher)
    module = connectors.FeatureProjection(("stage3", "stage3"), normalise=False)
    params = from_module(module).init(KEY, inputs)[0]
    np.testing.assert_allclose(params["pooled"]["kernel"].std(), 0.02, rtol=0.1)
    connector, params, state = prepared(module, inputs)
    result, _ = connector.apply(params, state, inputs, True)
    for role, name in (("pooled", "pooled"), ("local", "stage3")):
        x = np.float64(student.features[name])
        close(result[role], x @ params[role]["kernel"] + params[role]["bias"])


def test_paraphraser_decodes_what_it_encodes():
    inputs = ConnectorInputs(
        features(1, stage3=(2, 3, 3, 3)), features(2, stage3=(2, 3, 3, 4))
    )
    connector, params, state = prepared(connectors.Paraphraser(), inputs)
    result, _ = connector.apply(params, state, inputs, True)
    x = inputs.teacher.features["stage3"]
    for i in (1, 2, 3):
        x = convolve(x, params["encoder"][f"conv{i}"], pad=1)
        x = np.where(x > 0, x, 0.1 * x)
    close(result["factor"], x)
    for i in (1, 2, 3):
        x = convolve_transposed(x, params["decoder"][f"conv{i}"], 1, 1)
        x = np.where(x > 0, x, 0.1 * x)
    np.testing.assert_allclose(result["reconstruction"], x, rtol=1e-5)


def test_embeddings_have_length_1_and_zero_vectors_stay():
    student = features(1, pooled=(3, 4))
    student.features["pooled"][1] = 0
    inputs = ConnectorInputs(student, features(2, pooled=(3, 8)))
    module = connectors.LinearEmbeddings(normalise=True, width=6)
    connector, params, state = prepared(module, inputs)
    params["student"]["bias"] *= 0
    result, _ = connector.apply(params, state, inputs, True)
    for role, network in (("student", inputs.student), ("teacher", inputs.teacher)):
        x = np.float64(network.features["pooled"])
        x = x @ params[role]["kernel"] + params[role]["bias"]
        length = np.sqrt((x**2).sum(1, keepdims=True))
        close(result[role], x / np.where(length > 0, length, 1))

    def embedded(params):
        return connector.apply(params, state, inputs, True)[0]["student"].sum()

    assert np.isfinite(jax.grad(embedded)(params)["student"]["kernel"]).all()


@pytest.mark.parametrize("sides", [(7, 3), (3, 7), (6, 3), (5, 1)])
def test_pooling_and_nearest_are_pytorchs(sides):
    n, m = sides
    x = np.random.default_rng(0).normal(size=(2, n, n + 1, 3))
    rows = [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    columns = [
        slice(int(np.floor(j * (n + 1) / m)), int(np.ceil((j + 1) * (n + 1) / m)))
        for j in range(m)
    ]
    expected = [[x[:, r, c].mean((1, 2)) for c in columns] for r in rows]
    pooled = adaptive_average_pool(jnp.float32(x), m, m)
    close(pooled, np.moveaxis(expected, 2, 0))
    index = [[i * side // m for i in range(m)] for side in (n, n + 1)]
    value = maps.nearest_to(jnp.float32(x), (m, m))
    np.testing.assert_array_equal(value, np.float32(x)[:, index[0]][:, :, index[1]])


@pytest.mark.parametrize(
    "name, gain, fan_in",
    [("conv1", 3.0, 4), ("conv2", 3.0, 9 * 4), ("attention", 1, 8)],
)
def test_initial_weights_fill_their_range(name, gain, fan_in):
    names = ("stage1", "pooled")
    student = features(1, stage1=(2, 4, 4, 4), pooled=(2, 4))
    teacher = features(2, stage1=(2, 4, 4, 90), pooled=(2, 9))
    module = connectors.ReviewFusion(names, names)
    _, variables = module.init_with_output(KEY, student, teacher, True)
    kernel = variables["params"]["level1"][name]["kernel"]
    bound = np.sqrt(gain / fan_in)
    assert 0.7 * bound < np.abs(kernel).max() <= bound
