"""What the losses share: casting, softening, and masks of classes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from kdjax import contracts

AnyArray = Array | np.ndarray
Logits = Float[AnyArray, "*batch classes"]
PerSample = Float[Array, "*batch"]
Number = float | int | np.number
Scalar = Number | Float[AnyArray, ""]
Temperature = Float[AnyArray, "*#batch"] | Number
# True for the classes that count; None: all do.
Where = Bool[AnyArray, "*#batch classes"] | None

# exp() of it is 0 in float32, its square is finite, and so are all derivatives.
LOWEST = -1e18


def as_float32(x) -> Array:
    """Arrays and numbers of any precision as float32."""
    x = float(x) if isinstance(x, int) else x  # JAX takes none above 2^31
    return jnp.asarray(x).astype(jnp.float32)


def as_number(x):
    """Numbers beside float32: Python's as they are, those of arrays in float32.

    JAX promotes no 8-bit float, and takes no whole number above 2^31.
    """
    return float(x) if isinstance(x, int | float) else as_float32(x)


def as_int32(x) -> Array:
    """Whole numbers of any type as int32; of NumPy's 2^32 is not row 0 but no row."""
    if isinstance(x, np.ndarray):
        x = np.clip(x, -(2**31), 2**31 - 1)
    return jnp.asarray(x).astype(jnp.int32)


def one_or_nan(valid: Bool[Array, "*axes"]) -> Float[Array, "*axes"]:
    """1 where valid, else 0 / 0: a factor that keeps what is wrong from training.

    Not `where(valid, x, nan)`: with jax 0.10.2 on CPU, the exponential of that is some
    finite number. The compiler must not see a constant NaN.
    """
    count = valid.astype(jnp.float32)
    return count / count


def one_hot(
    labels: Integer[AnyArray, "*batch"], classes: int
) -> Bool[Array, "*batch classes"]:
    """True at the label. JAX's own counts in the labels' type: 276 is 20 in uint8."""
    labels = jnp.asarray(labels).astype(jnp.int32)[..., None]
    return labels == jnp.arange(classes).reshape((1,) * (labels.ndim - 1) + (-1,))


def exists(labels: Integer[AnyArray, "*batch"], classes: int) -> Float[Array, "*batch"]:
    """1 where a label names a class, else NaN: see `one_or_nan`."""
    labels = jnp.asarray(labels).astype(jnp.int32)
    return one_or_nan((labels >= 0) & (labels < classes))


def check_temperature(name: str, temperature: Temperature) -> None:
    """ValueError unless every temperature is traced, or above 0 and finite."""
    concrete = not contracts.is_traced(temperature)
    if concrete and np.isposinf(np.asarray(temperature, np.float64)).any():
        raise ValueError(
            f"{name}: temperature is inf; expected a finite number above 0; "
            "logit_matching is the limit of temperature^2 times this loss."
        )
    contracts.all_positive(name, "temperature", temperature)


def column(
    name: str, temperature: Temperature, batch: tuple[int, ...]
) -> Float[Array, "*batch 1"]:
    """The temperature as one float32 per row; unless traced, > 0 and finite."""
    check_temperature(name, temperature)
    return jnp.broadcast_to(beside(temperature, len(batch)), (*batch, 1))


def beside(temperature: Temperature, leading: int) -> Float[Array, "*#batch 1"]:
    """The temperature with an axis for the classes, and with that many before it."""
    tau = as_float32(temperature)
    return tau.reshape((1,) * (leading + 1)) if tau.ndim == 0 else tau[..., None]


def counted(name: str, logits: Logits, where: Where) -> Bool[Array, "*batch classes"]:
    """`where` for every element of the logits; ValueError unless it is a mask of them.

    None is all True.
    """
    if where is None:
        return jnp.ones(jnp.shape(logits), bool)
    contracts.shapes(
        name,
        logits=(logits, "*batch classes"),
        where=(where, "classes", "*#batch classes"),
    )
    where = jnp.asarray(where)
    if where.dtype != bool:
        raise ValueError(
            f"{name}: where has dtype {where.dtype}; expected booleans: True for the "
            "classes that count."
        )
    return jnp.broadcast_to(where, jnp.shape(logits))


def hide(name: str, where: Where, *logits: Logits) -> tuple[Logits, ...]:
    """The logits with -inf where `where` is False; all 0 in a row where it always is.

    Such a row is the same prediction on both sides, from which nothing is learned.
    """
    if where is None:
        return logits
    mask = counted(name, logits[0], where)
    hidden = jnp.where(jnp.any(mask, axis=-1, keepdims=True), -jnp.inf, 0.0)
    return tuple(jnp.where(mask, as_float32(z), hidden) for z in logits)


def mean_of(
    x: Float[Array, "*batch classes"], mask: Bool[Array, "*batch classes"]
) -> PerSample:
    """The mean over the classes where the mask is True; 0 where it never is."""
    count = jnp.sum(mask, axis=-1, dtype=jnp.float32)
    return jnp.sum(x, axis=-1, where=mask) / jnp.maximum(count, 1.0)


def below_top(logits: Logits) -> Float[Array, "*batch classes"]:
    """Logits minus the row's largest, in float32; a masked class (-inf) becomes -1e18.

    Softmax does not see the shift, so its derivative need not either.
    """
    logits = as_float32(logits)
    return jnp.maximum(logits - top_of(logits), LOWEST)


def top_of(logits: Float[Array, "*batch classes"]) -> Float[Array, "*batch 1"]:
    """The row's largest, as a constant."""
    return jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))


def difference(
    student_logits: Logits, teacher_logits: Logits
) -> Float[Array, "*batch classes"]:
    """Student minus teacher, up to a constant per row, with the digits of the inputs.

    Two ways to the same number: subtract as they are, exact where they nearly agree, or
    first take off each one's top, exact where one carries a large offset. Per element
    the way with the smaller rounding error.
    """
    s, t = as_float32(student_logits), as_float32(teacher_logits)
    top_s, top_t = top_of(s), top_of(t)
    s_below, t_below = jnp.maximum(s - top_s, LOWEST), jnp.maximum(t - top_t, LOWEST)
    direct = s - t
    agree = jnp.abs(direct) <= -s_below - t_below
    return jnp.where(agree, direct - (top_s - top_t), s_below - t_below)


def soften(
    logits: Logits, temperature: Float[Array, "*batch 1"]
) -> Float[Array, "*batch classes"]:
    """`below_top(logits) / temperature`, finite for every temperature in (0, inf]."""
    return jnp.maximum(below_top(logits) / temperature, LOWEST)
