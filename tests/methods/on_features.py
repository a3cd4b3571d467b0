"""A method's objective on given features, and what a float64 reference of it needs."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.types import ConnectorInputs, LossInputs, Outputs

BATCH, CLASSES = 4, 5
LABELS = np.array([0, 3, 1, 3], np.int32)
# Three stages and a stem of a narrow student and a wide teacher, pooled features.
SIDES = {"stem": 4, "stage1": 4, "stage2": 2, "stage3": 2}
STUDENT = {"stem": 2, "stage1": 2, "stage2": 3, "stage3": 4}
TEACHER = {"stem": 3, "stage1": 3, "stage2": 4, "stage3": 5}


def outputs(seed: int, channels: dict[str, int], sides=None) -> Outputs:
    """Random logits and features, not negative, as after a ReLU."""
    random, sides = np.random.default_rng(seed), sides or SIDES
    features = {}
    for name, count in channels.items():
        maps = random.normal(size=(BATCH, sides[name], sides[name], count))
        features[name] = np.float32(np.maximum(maps, 0) + 0.1)
    features["pooled"] = np.float32(random.normal(size=(BATCH, channels["stage3"])))
    return Outputs(np.float32(random.normal(size=(BATCH, CLASSES))), features)


def pair(sides=None) -> tuple[Outputs, Outputs]:
    """A student's outputs and a wider teacher's."""
    return outputs(1, STUDENT), outputs(2, TEACHER, sides)


def drawn(method, student: Outputs, teacher: Outputs) -> dict:
    """name -> (params, state) of the connectors; every value drawn, none 0 or 1."""
    random, inputs = np.random.default_rng(9), ConnectorInputs(student, teacher)
    return jax.tree.map(
        lambda x: np.float32(random.uniform(-0.4, 0.9, x.shape)),
        {
            n: one.init(jax.random.key(0), inputs)
            for n, one in method.connectors.items()
        },
    )


def objective(method, student, teacher, variables=None, selection=None, step=0):
    """The sum of the terms with their coefficients; connectors in training."""
    connected = {}
    for name, one in method.connectors.items():
        inputs = ConnectorInputs(student, teacher)
        connected[name], _ = one.apply(*variables[name], inputs, True)
    ones = np.ones(len(student.logits), np.float32)
    given = LossInputs(
        student=student,
        teacher=teacher,
        labels=jnp.asarray(LABELS),
        supervision=None,
        selection=ones if selection is None else selection,
        step=jnp.int32(step),
        connected=connected,
    )
    total = 0.0
    for term in method.terms:
        scheduled = callable(term.coefficient)
        weight = term.coefficient(given.step) if scheduled else term.coefficient
        total += weight * jnp.mean(term.values(given))
    return total


def close(method, student, teacher, expected, variables=None, rtol=1e-5, **rest):
    """Asserts the objective, and finite gradients in all that trains."""

    def loss(features, logits, variables):
        own = Outputs(logits, features)
        return objective(method, own, teacher, variables, **rest)

    given = student.features, student.logits, variables
    value, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))(*given)
    np.testing.assert_allclose(value, expected, rtol=rtol)
    for gradient in jax.tree.leaves(gradients):
        assert np.isfinite(gradient).all()
    return gradients


def declares(method, student_features, teacher_features, reads="label") -> None:
    """Asserts what a method on features says of itself."""
    assert method.needs_teacher and method.supervisor is None
    assert not method.needs and not method.has_label_fallback
    assert method.reads == set(reads.split())
    assert method.student_features == tuple(student_features)
    assert method.teacher_features == tuple(teacher_features)
    live = [name for name in teacher_features if name != "pooled"]
    assert bool(method.why_not_cached) == bool(live)


# -- Float64, by loops ---------------------------------------------------------------


def cross_entropy(logits) -> float:
    """The mean over the batch, of LABELS."""
    z = np.float64(logits)
    total = np.log(np.exp(z).sum(-1))
    return float(np.mean([total[i] - z[i, y] for i, y in enumerate(LABELS)]))


def maps(outputs: Outputs, name: str) -> np.ndarray:
    return np.float64(outputs.features[name])


def halve(x) -> np.ndarray:
    """[b, h, w, c] pooled by two on both sides."""
    y = np.zeros((x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            y[:, i, j] = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2))
    return y


def convolve(x, weights, stride=1, pad=0) -> np.ndarray:
    """PyTorch's Conv2d, position by position."""
    kernel = np.float64(weights["kernel"])
    x = np.pad(np.float64(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    size = len(kernel)
    sides = [(n - size) // stride + 1 for n in x.shape[1:3]]
    y = np.zeros((len(x), *sides, kernel.shape[3]))
    for i in range(sides[0]):
        for j in range(sides[1]):
            top, left = i * stride, j * stride
            patch = x[:, top : top + size, left : left + size]
            y[:, i, j] = np.einsum("bhwc,hwcd->bd", patch, kernel)
    return y + np.float64(weights.get("bias", 0.0))


def normalise(x, weights) -> np.ndarray:
    """Batch norm by the batch's own moments."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    x = (x - mean) / np.sqrt(variance + 1e-5)
    return x * np.float64(weights["scale"]) + np.float64(weights["bias"])


def relu(x) -> np.ndarray:
    return np.maximum(x, 0.0)
