"""The command on virtual devices: rows, pages, exit codes and refusals."""

import json
import pathlib

import pytest

from kdjax.commands import compile as command
from kdjax.contracts import InputError
from kdjax.preflight import memory, program, rows
from kdjax.preflight.page import page

ROOT = pathlib.Path(__file__).parent.parent.parent
PAIR = ["--pair=tests.networks:linear,tests.networks:coarse", "--image_size=8"]
PAIR += ["--classes=5", "--batch_size=64"]


@pytest.fixture(autouse=True)
def eight_devices(monkeypatch):
    monkeypatch.setattr("kdjax.commands.devices.configure_cpu", lambda *_: 8)


def told(capsys, *words):
    code = command.main([*PAIR, *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_row_where_nobody_knows_the_memory(capsys):
    code, row = told(capsys)
    assert code == 0 and row.keys() == rows.KEYS.keys()
    assert (row["devices"], row["batch_size"], row["rows"]) == (8, 64, 8)
    assert row["fits"] is None and row["largest_batch"] is None and not row["advice"]
    # Linear in 8x8x3 pixels as a teacher, in 2x2x3 as a student.
    assert row["flops_per_image"] == {"float32": 2 * (8 * 8 * 3 + 3 * 2 * 2 * 3) * 5}
    assert row["flops_per_step"] == 8 * row["flops_per_image"]["float32"]
    parts = ("state", "teacher", "resident_images", "batch", "padding")
    parts += ("temporaries", "outputs", "code")
    assert row["total"] == sum(row[part] for part in parts)
    assert row["resident_images"] == 0 and row["batch"] == 8 * (8 * 8 * 3 + 12)


def test_the_largest_batch_fits_and_the_next_does_not(capsys):
    mebibyte = 2**20
    code, row = told(capsys, "--memory=0.0009765625", "--probes=20")
    assert code == 0 and row["fits"] and row["capacity"] == mebibyte
    low, high = row["largest_batch"], row["smallest_too_large"]
    assert 64 < low < high and low % 8 == 0
    totals = [
        told(capsys, f"--batch_size={size}", "--probes=0")[1]["total"]
        for size in (low, high)
    ]
    assert totals[0] <= mebibyte < totals[1]


def test_what_does_not_fit_says_by_how_much_and_what_to_change(capsys):
    code, row = told(capsys, "--memory=1e-6", "--probes=3")
    assert code == command.DOES_NOT_FIT == 2 and row["fits"] is False
    over = memory.told(row["total"] - row["capacity"])
    assert row["advice"][0] == f"it is {over} too large for a device"
    assert any("bfloat16" in text for text in row["advice"])
    text = page(row)
    assert "it does not fit:" in text and over in text


def test_what_a_compiler_refuses_is_told(monkeypatch, capsys):
    refused = memory.Refused(used=3 * 2**30, limit=2 * 2**30)

    def compile_step(plan, mesh, batch_size):
        if batch_size > 16:
            return program.Compiled(1.0, None, refused, {})
        return program.Compiled(1.0, memory.Memory(8, 8, 8, 8, 8), None, {})

    monkeypatch.setattr(program, "compile_step", compile_step)
    code, row = told(capsys)
    assert code == 2 and row["total"] == 3 * 2**30 and row["limit"] == 2 * 2**30
    assert row["temporaries"] is None and row["fits"] is False
    assert row["advice"][0] == "it is 1.00 GiB too large for a device"
    assert (row["largest_batch"], row["smallest_too_large"]) == (16, 24)
    assert "--batch_size=16 fits on these devices" in row["advice"]
    assert "1.00 GiB" in page(row) and "16 fits, 24 does not" in page(row)


def test_a_page_for_people(capsys):
    assert command.main([*PAIR, "--memory=1", "--probes=0"]) == 0
    captured = capsys.readouterr()
    for word in ("8 x cpu", "activations", "it fits", "all-reduce", "not searched"):
        assert word in captured.out
    assert "nothing runs" in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch_size=63"], "a multiple of 8, such as 64"),
        (["--feed=neither"], "expected resident or streamed"),
        (["--config=a.py"], "either --config or --pair"),
        (["--pair=resnet34"], "expected TEACHER:STUDENT"),
        (["--probes=-1"], "0 or more"),
        (["--topology=v5e"], "such as v4:2x2x4"),
        (["--pair=wrn_16_2:wrn_16_3"], "near are wrn_16_"),
        (["--pair=wrn_16_2:resnet18"], "cannot take the data set"),
        (["--teacher=resnet34"], "are of a --config"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(words, message):
    with pytest.raises(InputError) as caught:
        command.main([*PAIR, *words])
    assert message in str(caught.value)


def test_a_config_compiles_without_its_data(capsys):
    words = [
        f"--config={ROOT}/configs/cifar100/kd.py",
        "--teacher=tests.networks:coarse",
    ]
    words += ["--config.model.name=tests.networks:coarse", "--batch_size=64"]
    words += ["--image_size=32", "--classes=100", "--examples=500", "--json"]
    assert command.main([*words, "--data_dir=/nowhere"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["resident"] and row["resident_images"] == 500 * (32 * 32 * 3 + 4)


def test_the_help_says_what_the_keys_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    for word in ("libtpu", "--topology", "streamed", *rows.KEYS):
        assert word in text
