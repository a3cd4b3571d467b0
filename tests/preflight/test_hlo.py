"""Programs as text: shapes, operands, the loop of a dispatch, and what a step runs."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from kdjax.preflight.hlo import Instruction, parse, size

STORED = pathlib.Path(__file__).parent / "stored"


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("f32[]", 4),
        ("bf16[3,5]{1,0:T(8,128)(2,1)}", 30),
        ("s4[3]", 2),
        ("f8e4m3fn[7]", 7),
        ("c64[2]", 16),
        ("pred[9]{0}", 9),
        ("token[]", 0),
        ("(u8[4,4]{1,0}, /*index=1*/(s32[], f64[2]{0}))", 36),
    ],
)
def test_sizes_of_shapes(shape, wanted):
    assert size(shape) == wanted


def test_text_that_is_no_program_is_refused():
    with pytest.raises(ValueError, match="no ENTRY"):
        parse("HloModule nothing")


def test_operands_end_before_the_attributes():
    line = Instruction("a", "f32[]", "fusion", "%x.1, (f32[2]) %y), calls=%z")
    assert line.operands == ["x.1", "y"] and line.called == ["z"]


def scanned(length, unroll=1):
    """The text of a loop over products, with one before it."""

    def step(x, scale):
        return jnp.tanh(x @ x) * scale, x[0, 0]

    def run(x, scales):
        return jax.lax.scan(step, x @ x, scales, unroll=unroll)

    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((8, 8), (length,))]
    return parse(jax.jit(run).lower(*shapes).compile().as_text())


def products(program, steps):
    return sum(
        times
        for instruction, times in program.executed(steps)
        if instruction.opcode in ("dot", "custom-call")
        or any(one.opcode == "dot" for one in program.fused(instruction))
    )


def test_a_step_is_the_body_of_the_dispatchs_loop():
    program = scanned(6)
    assert products(program, steps=6) == 1.0
    # Of a program of one step everything counts, loops as often as they run.
    assert products(program, steps=1) == 7.0


def test_a_loop_that_is_unrolled_in_part_makes_several_steps():
    program = scanned(6, unroll=2)
    _, makes = program.step(6)
    assert makes == 2.0 and products(program, steps=6) == 1.0


def test_loops_inside_a_step_are_not_those_of_the_dispatch():
    program = scanned(6)
    assert program.dispatch(6).trips == 6 and not list(program.loops(6))
    assert program.dispatch(1) is None
    assert [(i.trips, times) for i, times in program.loops(1)] == [(6, 1.0)]


def test_a_loop_of_unknown_length_is_seen_as_one():
    def run(x, count):
        return jax.lax.fori_loop(0, count, lambda _, y: jnp.tanh(y @ y), x)

    shapes = jax.ShapeDtypeStruct((8, 8), jnp.float32), jax.ShapeDtypeStruct((), int)
    program = parse(jax.jit(run).lower(*shapes).compile().as_text())
    assert [i.trips for i, _ in program.loops()] == [None]
