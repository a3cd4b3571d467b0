"""Tallies of HLO: written by hand, and of programs whose traffic is known."""

import jax
import jax.numpy as jnp
import numpy as np

from kdjax.preflight import collectives
from kdjax.preflight.collectives import Sent
from kdjax.preflight.hlo import parse
from kdjax.training import sharding

# Of the conditional the longest branch counts.
HLO = """HloModule jit_steps, is_scheduled=true, entry_computation_layout={(f32[4]{0})}

%add.1 (x.1: f32[], y.1: f32[]) -> f32[] {
  %x.1 = f32[] parameter(0)
  %y.1 = f32[] parameter(1)
  ROOT %sum.1 = f32[] add(%x.1, %y.1)
}

%wrapped.1 (p.1: f32[8]) -> f32[2] {
  %p.1 = f32[8]{0:T(256)} parameter(0)
  ROOT %rs.1 = f32[2]{0} reduce-scatter(%p.1), dimensions={0}, to_apply=%add.1
}

%students.1 (s.1: (s32[], f32[6])) -> (s32[], f32[6]) {
  %s.1 = (s32[], f32[6]{0}) parameter(0)
  %norm.1 = f32[6]{0:T(128)} all-reduce(%s.1), channel_id=1, to_apply=%add.1
  ROOT %t.1 = (s32[], f32[6]{0}) tuple(%s.1, %norm.1)
}

%small.1 (a.1: f32[4]) -> f32[4] {
  ROOT %perm.1 = f32[4]{0} collective-permute(%a.1), source_target_pairs={{0,1},{1,0}}
}

%large.1 (b.1: f32[4]) -> f32[4] {
  %big.1 = bf16[100]{0} all-to-all(%b.1), replica_groups={{0,1}}
  ROOT %r.1 = f32[4]{0} convert(%big.1)
}

%steps.1 (c.1: (s32[], f32[4])) -> (s32[], f32[4]) {
  %grads.1 = (f32[8,8]{1,0:T(8,128)}, bf16[10]{0:T(256)(128)(2,1)S(1)}) \
all-reduce(%c.1, %c.1), channel_id=3, replica_groups=[1,256]<=[256], \
use_global_device_ids=true, \
to_apply=%add.1, metadata={op_name="jit(steps)/while/body/all-reduce(x)"}
  %loop.1 = (s32[], f32[6]{0}) while(%c.1), condition=%cond.9, body=%students.1, \
backend_config={"known_trip_count":{"n":"5"},"other":[]}
  %start.1 = (f32[2]{0}, f32[16]{0}) all-gather-start(%c.1), dimensions={0}
  %done.1 = f32[16]{0} all-gather-done(%start.1)
  %as.1 = ((f32[8]{0}), f32[2]{0}, s32[]) async-start(%c.1), calls=%wrapped.1
  %ad.1 = f32[2]{0} async-done(%as.1), calls=%wrapped.1
  %if.1 = f32[4]{0} conditional(%c.1, %c.1, %c.1), \
branch_computations={%small.1, %large.1}
  ROOT %u.1 = (s32[], f32[4]{0}) tuple(%c.1, %if.1)
}

ENTRY %main.1 (m.1: f32[4]) -> (s32[], f32[4]) {
  %m.1 = f32[4]{0} parameter(0)
  ROOT %w.1 = (s32[], f32[4]{0}) while(%m.1), condition=%cond.1, body=%steps.1
}
"""


def tally(text, steps=1):
    return collectives.tally(parse(text), steps)


def test_every_kind_is_counted_as_often_as_it_runs_in_a_step():
    assert tally(HLO) == {
        "all-reduce": Sent(1 + 5, 4 * 64 + 2 * 10 + 5 * 4 * 6),
        "all-gather": Sent(1, 4 * 16),
        "reduce-scatter": Sent(1, 4 * 2),
        "all-to-all": Sent(1, 2 * 100),
    }


def compiled(function, *shapes, steps=1):
    mesh = sharding.make_mesh()
    jitted = jax.jit(
        function,
        in_shardings=sharding.split(mesh),
        out_shardings=sharding.replicated(mesh),
    )
    arrays = (jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes)
    return tally(jitted.lower(*arrays).compile().as_text(), steps)


def test_a_sum_over_the_batch_sends_the_sum():
    assert compiled(lambda x: x.sum(0), (16, 37)) == {"all-reduce": Sent(1, 4 * 37)}


def test_a_loop_of_known_length_sends_so_often():
    def repeated(x):
        def one(total, _):
            return total + jnp.tanh(x * total[None]).sum(0), None

        return jax.lax.scan(one, jnp.ones(37, jnp.float32), None, length=7)[0]

    assert compiled(repeated, (16, 37)) == {"all-reduce": Sent(7, 7 * 4 * 37)}
    assert compiled(repeated, (16, 37), steps=7) == {"all-reduce": Sent(1, 4 * 37)}


def test_what_stays_on_each_device_sends_nothing():
    mesh = sharding.make_mesh()
    rows = sharding.split(mesh)
    jitted = jax.jit(jnp.sin, in_shardings=rows, out_shardings=rows)
    shape = jax.ShapeDtypeStruct((16, 3), np.float32)
    assert tally(jitted.lower(shape).compile().as_text()) == {}
