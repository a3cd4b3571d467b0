"""The command: rows as JSON, a table, interruption, and what it refuses."""

import json

import jax
import pytest

from kdjax.bench import peaks, programs, rows
from kdjax.cli import bench
from kdjax.contracts import InputError

PAIR = "--pair=tests.networks:linear,tests.networks:"
SMALL = [
    f"{PAIR}coarse",
    "--batch_size=8",
    "--image_size=8",
    "--classes=5",
    "--steps=2",
]
SMALL += ["--repeats=2"]


@pytest.fixture(autouse=True)
def eight_devices(monkeypatch):
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


def fake(mode="live", students=1, **changes):
    row = dict.fromkeys(rows.KEYS, 1.0) | {"mode": mode, "students": students}
    row |= {"pair": "a:b", "device": "cpu", "flops_per_image": {"float32": 1.0}}
    return row | {"flop_utilisation": None, "memory_utilisation": None} | changes


def test_one_json_object_a_line(capsys):
    assert bench.main([*SMALL, "--students=1,2", "--modes=live,input", "--json"]) == 0
    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(r["mode"], r["students"]) for r in measured] == [
        ("live", 1),
        ("live", 2),
        ("input", 0),
    ]
    for row in measured:
        assert row.keys() == rows.KEYS.keys()
        assert row["device"] == "cpu" and row["devices"] == 8
        assert row["versions"]["jax"] == jax.__version__
        assert (row["steps"], row["repeats"], row["batch_size"]) == (2, 2, 8)
        assert row["flop_utilisation"] is None and row["memory_utilisation"] is None
        low, high = row["images_per_second_low"], row["images_per_second_high"]
        assert 0 < low <= row["images_per_second"] <= high
        assert 0 < row["input_wait"] < 1
        assert row["compile_seconds"] > 0
    _, two, alone = measured
    assert two["student_images_per_second"] == 2 * two["images_per_second"]
    achieved = two["images_per_second"] * two["flops_per_image"]["float32"]
    assert two["flops_per_second"] == pytest.approx(achieved)
    assert two["flops_per_image"]["float32"] == 2 * (8 * 8 * 3 + 2 * 3 * 12) * 5
    assert alone["flops_per_second"] == 0 and alone["flops_per_image"] == {}


def test_dispatches_are_compared_and_streamed_has_one(monkeypatch, capsys):
    asked = []

    def measure(pair, problem, mode, students, dispatch, mesh, **_):
        asked.append((mode, students, dispatch))
        return fake(mode, students, dispatch=dispatch)

    monkeypatch.setattr(rows, "measure", measure)
    flags = ["--modes=live,streamed,input", "--students=1", "--dispatch=1,16"]
    assert bench.main([*SMALL, *flags]) == 0
    assert asked == [
        *(("live", 1, 1), ("live", 1, 16), ("streamed", 1, None)),
        *(("input", 0, 1), ("input", 0, 16)),
    ]
    assert "2/5 live, 1 student(s), dispatch 16" in capsys.readouterr().err


def test_two_steps_a_dispatch_are_measured(capsys):
    flags = ["--modes=cached", "--students=1", "--dispatch=2", "--steps=3", "--json"]
    assert bench.main([*SMALL, *flags]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["dispatch"], row["steps"]) == (2, 4)


def test_programs_are_kept_as_in_training(monkeypatch):
    kept = []
    monkeypatch.setattr(bench.devices, "keep_programs", lambda: kept.append(1))
    monkeypatch.setattr(rows, "measure", lambda *_, **__: fake())
    assert bench.main([*SMALL, "--students=1", "--modes=live"]) == 0 and kept


def test_a_known_device_is_held_against_its_peak(monkeypatch, capsys):
    monkeypatch.setattr(peaks, "find", lambda _: peaks.Peak({"float32": 1e9}, 1e9))
    flags = [f"{PAIR}tiny", "--students=1", "--modes=cached", "--json"]
    assert bench.main([*SMALL, *flags]) == 0
    row = json.loads(capsys.readouterr().out)
    share = row["flops_per_second"] / 8e9
    assert row["flop_utilisation"] == pytest.approx(share)
    assert row["memory_utilisation"] == pytest.approx(row["bytes_per_second"] / 8e9)


def test_a_table_for_people(monkeypatch, capsys):
    monkeypatch.setattr(rows, "measure", lambda *_, **__: fake())
    assert bench.main([*SMALL, "--students=3", "--modes=live"]) == 0
    captured = capsys.readouterr()
    assert "peak of cpu is not known: no utilisation" in captured.out
    assert "1/1 live, 3 student(s)" in captured.err


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interruption_keeps_what_was_measured(monkeypatch, capsys, as_json):
    results = iter([fake("live"), KeyboardInterrupt()])

    def measure(*_, **__):
        result = next(results)
        if isinstance(result, BaseException):
            raise result
        return result

    monkeypatch.setattr(rows, "measure", measure)
    flags = ["--students=1", *(["--json"] if as_json else [])]
    assert bench.main([*SMALL, *flags]) == rows.INTERRUPTED == 130
    captured = capsys.readouterr()
    assert "live" in captured.out and "cached" not in captured.out
    assert "interrupted" in captured.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--modes=live,cache"], "Did you mean cached?"),
        (["--students=1,0"], "--students is '1,0'"),
        (["--students="], "expected whole numbers"),
        (["--dispatch=0"], "--dispatch is '0'"),
        (["--pair=wrn_28_4"], "expected TEACHER:STUDENT"),
        (["--pair=wrn_28_4:wrn_16_3"], "near are wrn_16_"),
        (["--batch_size=12"], "--batch_size is 12 and there are 8 devices"),
        (["--batch_size=0"], "--batch_size is 0"),
        (["--steps=-1"], "--steps is -1"),
        (["--dtype=float16", "--pair=wrn_16_2:wrn_16_2"], "float32 or bfloat16"),
        (["--pair=wrn_16_2:resnet18", "--image_size=8"], "cannot take the data set"),
        (["--pair=wrn_16_2,tests.networks:eleven_classes"], "11 classes"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(flags, message):
    with pytest.raises(InputError, match=".") as caught:
        bench.main([*SMALL, *flags])
    assert message in str(caught.value)


def test_too_little_memory_is_the_users_to_mend(monkeypatch):
    def start(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 80 GiB")

    monkeypatch.setattr(programs, "start", start)
    with pytest.raises(InputError, match="live with 8 students does not fit"):
        bench.main([*SMALL, "--students=8"])


def test_the_help_explains_both_shares(capsys):
    with pytest.raises(SystemExit):
        bench.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for word in ("Model FLOP/s", "memory roof", "cached", "130", *rows.KEYS):
        assert word in text
