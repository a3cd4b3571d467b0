"""Which operations of a trace cost most, on files whose times are known."""

import time

import jax
import jax.numpy as jnp
import pytest
from jax.profiler import ProfileData

from kdjax.reporting.trace import _instructions, read_operations
from kdjax.runner.profile import describe

METADATA = """
planes {{
  name: "/host:metadata"
  event_metadata {{ key: 1 value {{ id: 1 name: "jit_step(7)"
    stats {{ metadata_id: 1 bytes_value: "{step}" }} }} }}
  event_metadata {{ key: 2 value {{ id: 2 name: "jit_other(8)"
    stats {{ metadata_id: 1 bytes_value: "{other}" }} }} }}
}}
"""
# Two rounds of a loop of 10 us with 6 us of a convolution, and 2 us of a sum after it.
TPU = """
planes {
  name: "/device:TPU:0"
  lines { name: "XLA Modules"
    events { metadata_id: 9 offset_ps: 0 duration_ps: 13000000 } }
  lines { name: "Steps" events { metadata_id: 1 offset_ps: 0 duration_ps: 99000000 } }
  lines { name: "XLA Ops"
    events { metadata_id: 2 offset_ps: 1000000 duration_ps: 3000000 }
    events { metadata_id: 1 offset_ps: 0 duration_ps: 10000000 }
    events { metadata_id: 2 offset_ps: 5000000 duration_ps: 3000000 }
    events { metadata_id: 3 offset_ps: 10000000 duration_ps: 2000000 }
  }
  event_metadata { key: 1 value { id: 1 name: "%while.1 = (f32[]) while(...)" } }
  event_metadata { key: 2 value { id: 2 name: "%fusion.2 = f32[8] fusion(...)" } }
  event_metadata { key: 3 value { id: 3 name: "%add.3 = f32[8] add(...)" } }
  event_metadata { key: 9 value { id: 9 name: "jit_step(7)" } }
}
"""

GPU = """
planes {
  name: "/device:GPU:NUMBER"
  lines { name: "Stream #13(Compute)"
    events { metadata_id: 1 offset_ps: 0 duration_ps: 4000000
      stats { metadata_id: 1 str_value: "fusion.2" }
      stats { metadata_id: 2 str_value: "jit_step" }
      stats { metadata_id: 3 int64_value: 7 } } }
  lines { name: "Stream #14(MemcpyH2D)"
    events { metadata_id: 2 offset_ps: 1000000 duration_ps: 1000000 } }
  lines { name: "XLA Ops"
    events { metadata_id: 1 offset_ps: 0 duration_ps: 4000000 } }
  event_metadata { key: 1 value { id: 1 name: "sm90_fprop_implicit_gemm" } }
  event_metadata { key: 2 value { id: 2 name: "MemcpyH2D" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } }
  stat_metadata { key: 2 value { id: 2 name: "hlo_module" } }
  stat_metadata { key: 3 value { id: 3 name: "program_id" } }
}
planes {
  name: "/host:CPU"
  lines { name: "python"
    events { metadata_id: 1 offset_ps: 0 duration_ps: 90000000
      stats { metadata_id: 1 str_value: "fusion.2" } } }
  event_metadata { key: 1 value { id: 1 name: "Thunk" } }
  stat_metadata { key: 1 value { id: 1 name: "hlo_op" } }
}
"""


def gpu(number):
    """A kernel of 4 us and a copy of 1 us; a line that sums them up; a host thread."""
    return GPU.replace("NUMBER", str(number))


def message(number: int, *parts: bytes | str) -> bytes:
    """A field of a protocol buffer with a length."""
    body = b"".join(p.encode() if isinstance(p, str) else p for p in parts)
    size, length = b"", len(body)
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + body


def hlo(*instructions: tuple[str, str, str]) -> str:
    """An HloProto for a text of one, as octal digits."""
    rows = [
        message(2, message(1, n), message(2, op), message(7, message(2, origin)))
        for n, op, origin in instructions
    ]
    # An identifier of the module, a number, stands before its computations.
    proto = message(1, bytes([5 << 3, 200, 1]), message(3, message(1, "main"), *rows))
    return "".join(f"\\{byte:03o}" for byte in proto)


@pytest.fixture
def operations_of(tmp_path):
    def read(*planes: str):
        step = hlo(
            ("while.1", "while", "jit(step)/while"),
            ("fusion.2", "fusion", "jit(step)/conv" + "x" * 200),
            ("add.3", "add", "jit(step)/add"),
        )
        other = hlo(("fusion.2", "fusion", "jit(other)/sin"))
        texts = (METADATA.format(step=step, other=other), *planes)
        data = ProfileData.text_proto_to_serialized_xspace("".join(texts))
        (tmp_path / "t.xplane.pb").write_bytes(data)
        return read_operations(tmp_path / "t.xplane.pb")

    return read


def test_a_tpus_loop_is_what_is_in_it(operations_of):
    operations, devices = operations_of(TPU)
    assert devices == 1
    assert [(o.name, o.calls, round(o.seconds * 1e6, 3)) for o in operations] == [
        ("fusion.2", 2, 6.0),
        ("add.3", 1, 2.0),
    ]
    assert [o.origin for o in operations] == [
        "jit(step)/conv" + "x" * 200,
        "jit(step)/add",
    ]


def test_gpus_are_summed_over_their_streams(operations_of):
    operations, devices = operations_of(gpu(0), gpu(1))
    assert devices == 2
    assert [(o.name, o.calls, round(o.seconds * 1e6, 3)) for o in operations] == [
        ("fusion.2", 2, 8.0),
        ("MemcpyH2D", 2, 2.0),
    ]
    assert operations[0].origin.startswith("jit(step)/conv")
    lines = describe(operations, devices, steps=4)
    assert "2 device(s)" in lines[0]
    assert lines[1].split()[:5] == ["80.0", "%", "0.0010", "0.25", "fusion.2"]


def test_a_fusion_without_an_origin_has_that_of_its_result():
    def number(field, value):
        return bytes([field << 3, value])

    def instruction(name, opcode, origin="", called=b""):
        metadata = [message(7, message(2, origin))] if origin else []
        return message(2, message(1, name), message(2, opcode), *metadata, called)

    inner = [
        instruction("a", "tanh", "jit(f)/tanh"),
        instruction("b", "dot", "jit(f)/dot"),
    ]
    inner += [instruction("c", "bitcast"), number(5, 9)]
    # Field 38, packed: the computation with the identifier 9.
    called = bytes([38 << 3 & 127 | 128 | 2, 38 >> 4, 1, 9])
    outer = [
        instruction("d", "fusion", called=called),
        instruction("e", "copy", called=called),
    ]
    proto = message(1, message(3, *inner), message(3, *outer, number(5, 10)))
    rows = dict(_instructions(memoryview(proto)))
    assert rows["d"] == ("fusion", "jit(f)/dot") and rows["e"] == ("copy", "")


def test_a_trace_without_devices_is_said_to_be_one(operations_of):
    operations, devices = operations_of()
    assert (operations, devices) == ([], 0)
    assert "CUPTI" in describe(operations, devices, 1)[0]


def test_the_processor_says_what_its_operations_are(tmp_path):
    # XLA's programs for CPUs forget where they are from in JAX's cache of them, which
    # tests have: with this number no other program is the same.
    number = float(time.time_ns() % 1_000_003)

    @jax.jit
    def step(x):
        return (
            jnp.tanh(x[:4, :4] + number).sum()
            + jax.lax.scan(lambda c, _: (c @ x, None), x, length=3)[0].sum()
        )

    x = jnp.ones((400, 400)) / 400
    jax.block_until_ready(step(x))
    with jax.profiler.trace(str(tmp_path)):
        jax.block_until_ready(step(x))
    (path,) = tmp_path.rglob("*.xplane.pb")
    operations, devices = read_operations(path)
    assert devices == 1
    first = operations[0]
    assert first.origin.endswith("dot_general") and first.calls == 3
    assert not any(o.name.startswith("while") for o in operations)
    assert first.seconds > 0.5 * sum(o.seconds for o in operations)
