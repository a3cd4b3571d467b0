"""The command on virtual devices: rows, pages, exit codes and refusals."""

import json
import pathlib

import pytest

from kdjax.cli import compile as command
from kdjax.contracts import InputError
from kdjax.preflight import advice, hlo, memory, program, rows
from kdjax.preflight import page as pages
from kdjax.preflight.page import page

ROOT = pathlib.Path(__file__).parent.parent.parent
PAIR = ["--pair=tests.networks:linear,tests.networks:coarse", "--image_size=8"]
PAIR += ["--classes=5", "--batch_size=64"]


@pytest.fixture(autouse=True)
def eight_devices(monkeypatch):
    monkeypatch.setattr("kdjax.distributed.devices.configure", lambda *_: 8)


def test_times_are_marked_as_estimates():
    times = {"seconds_of_cycles": 0.0557, "seconds_of_bytes": 0.0374}
    lines = pages._times({"rows": 256, **times, "seconds_of_flops": None})
    assert lines[0].endswith("ESTIMATES, nothing ran")
    assert [line.split()[-5:] for line in lines[1:3]] == [
        ["cycles", "55.70", "ms", "4,596", "images/s"],
        ["bytes", "37.40", "ms", "6,845", "images/s"],
    ]
    unknown = dict.fromkeys(("seconds_of_bytes", "seconds_of_cycles"))
    assert pages._times({"rows": 1, **unknown, "seconds_of_flops": None}) == []


def compiled_row(capsys, *words):
    code = command.main([*PAIR, *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_row_where_the_memory_is_not_known(capsys):
    code, row = compiled_row(capsys)
    assert code == 0 and row.keys() == rows.KEYS.keys()
    assert (row["devices"], row["batch_size"], row["rows"]) == (8, 64, 8)
    assert row["fits"] is None and row["largest_batch"] is None and not row["advice"]
    # Linear in 8x8x3 pixels as a teacher, in 2x2x3 as a student.
    assert row["flops_per_image"] == {"float32": 2 * (8 * 8 * 3 + 3 * 2 * 2 * 3) * 5}
    assert row["flops_per_step"] == 8 * row["flops_per_image"]["float32"]
    assert row["total"] == sum(row[part] for part in rows.PARTS)
    assert row["feed"] == "streamed" and row["data"] == 4 * 1_281_167
    assert row["batch"] == row["ahead"] == 8 * (8 * 8 * 3 + 8)


def test_the_largest_batch_fits_and_the_next_does_not(capsys, monkeypatch):
    totals, compile_step_of = {}, program.compile_step

    def compile_step(plan, mesh, batch_size):
        compiled = compile_step_of(plan, mesh, batch_size)
        totals[batch_size] = compiled.memory.total
        return compiled

    monkeypatch.setattr(program, "compile_step", compile_step)
    words = ("--examples=100", "--memory=0.0009765625", "--probes=20")
    mebibyte = 2**20
    code, row = compiled_row(capsys, *words)
    assert code == 0 and row["fits"] and row["capacity"] == mebibyte
    low, high = row["largest_batch"], row["smallest_too_large"]
    assert 64 < low < high and low % 8 == 0
    assert totals[low] <= mebibyte < totals[high]
    assert row["probes"] == len(totals) - 1 <= 5


def test_what_does_not_fit_says_by_how_much_and_what_to_change(capsys):
    code, row = compiled_row(capsys, "--memory=1e-6", "--probes=1")
    assert code == command.DOES_NOT_FIT == 2 and row["fits"] is False
    over = memory.size_text(row["total"] - row["capacity"])
    assert row["advice"][0] == f"it is {over} too large for a device"
    half = [text for text in row["advice"] if "bfloat16" in text]
    assert half == ["activations of --dtype=bfloat16 are half as large"]
    text = page(row)
    assert "it does not fit:" in text and over in text


@pytest.mark.parametrize(
    ("dtypes", "flags"),
    [
        (("float32", "float32"), ["--config.model.dtype=bfloat16", "--dtype=bfloat16"]),
        (("bfloat16", "float32"), ["--dtype=bfloat16"]),
        (("float32", "bfloat16"), ["--config.model.dtype=bfloat16"]),
        (("bfloat16", "bfloat16"), []),
    ],
)
def test_bfloat16_is_advised_where_it_is_not_set(tmp_path, capsys, dtypes, flags):
    """Though classifiers are in float32 all the same."""
    student, teacher = dtypes
    (tmp_path / "kd.py").write_text(STREAMED.replace("size = 64", "size = 16"))
    words = [f"--config={tmp_path}/kd.py", "--teacher=resnet8", f"--dtype={teacher}"]
    words += [f"--config.model.dtype={student}", "--memory=1e-6", "--probes=0"]
    assert command.main([*words, "--json"]) == 2
    row = json.loads(capsys.readouterr().out)
    assert row["flops_per_image"]["float32"] > 0
    advised = [text.split()[2] for text in row["advice"] if "bfloat16" in text]
    assert advised == flags
    smaller = [text for text in row["advice"] if "accumulation" in text]
    assert len(smaller) == 1 and "--config.accumulation_steps=2 halves" in smaller[0]


def test_what_is_imported_is_imported_anew():
    assert advice.flags_of("imported").teacher == "import --dtype=bfloat16"
    assert advice.flags_of("run").teacher == ""  # that run is done


GIB = 2**30
EMPTY = hlo.Program({"main": []}, "main")


@pytest.mark.parametrize(
    ("refused", "total"),
    [
        # Of all that the program holds: the next batch comes on top.
        (memory.Refused(used=3 * GIB, limit=2 * GIB), 3 * GIB),
        # Of what it computes: its arguments come on top too.
        (memory.Refused(used=None, limit=2 * GIB, temporaries=3 * GIB), 3 * GIB),
    ],
)
def test_what_a_compiler_refuses_is_in_the_row(monkeypatch, capsys, refused, total):
    def compile_step(plan, mesh, batch_size):
        if batch_size > 16:
            return program.Compiled(1.0, None, refused, None)
        return program.Compiled(1.0, memory.Memory(8, 8, 8, 8, 8), None, EMPTY)

    monkeypatch.setattr(program, "compile_step", compile_step)
    code, row = compiled_row(capsys)
    added = ("ahead",) if refused.used else list(rows.PARTS)[:5]
    assert row["total"] == total + sum(row[part] for part in added)
    assert code == 2 and row["capacity"] == 2 * GIB and row["fits"] is False
    assert row["temporaries"] == refused.temporaries and row["padding"] is None
    over = memory.size_text(row["total"] - 2 * GIB)
    assert row["advice"][0] == f"it is {over} too large for a device"
    assert (row["largest_batch"], row["smallest_too_large"]) == (16, 24)
    assert "--batch_size=16 fits on these devices" in row["advice"]
    assert over in page(row) and "16 fits, 24 does not" in page(row)


def test_a_page_for_people(capsys):
    assert command.main([*PAIR, "--memory=1", "--probes=0"]) == 0
    captured = capsys.readouterr()
    for word in (
        "8 x cpu",
        "labels",
        "it fits",
        "all-reduce",
        "not searched",
        "jax 0.",
    ):
        assert word in captured.out
    assert "nothing runs" in captured.err
    assert "the 10 kernels that move most" in captured.out
    assert "for each image" in captured.out and "ESTIMATES" not in captured.out
    lines = captured.out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("memory"))
    shares = lines[first : lines.index("  it fits")]
    assert len(shares) >= 4 and {len(line.rstrip()) for line in shares[:-1]} == {46}
    assert all(len(line) <= 79 for line in lines)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batch_size=63"], "a multiple of 8, such as 64"),
        (["--feed=neither"], "expected resident or streamed"),
        (["--config=a.py"], "either --config or --pair"),
        (["--pair=resnet34"], "expected TEACHER:STUDENT"),
        (["--probes=-1"], "--probes is -1; expected 0 or more"),
        (["--topology=v5e"], "such as v5e:4x4"),
        (["--slices=2"], "of a --topology"),
        (["--topology=v5e:4x4", "--slices=0"], "--slices is 0; expected 1 or more"),
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
    words += ["--examples=500", "--json", "--data_dir=/nowhere"]
    assert command.main(words) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["feed"] == "resident" and row["data"] == 500 * (32 * 32 * 3 + 4)


STREAMED = """
from ml_collections import ConfigDict
from kdjax.experiment import schema

def get_config(arg=""):
    config = schema.base()
    config.data.name = "imagenet2012"
    config.data.crops.size = 64
    config.model = ConfigDict({"name": "resnet8", "dtype": "bfloat16"})
    config.method = ConfigDict({"name": "kd", "alpha": 0.9, "temperature": 4.0})
    config.batch_size = 64
    return config
"""


def test_imagenet_and_its_teacher_may_be_absent(tmp_path, monkeypatch, capsys):
    (tmp_path / "kd.py").write_text(STREAMED)
    measured = []

    def measure(plan, mesh, **options):
        measured.append(plan)
        return {"fits": True}

    monkeypatch.setattr(rows, "measure", measure)
    words = [f"--config={tmp_path}/kd.py", "--json"]
    with pytest.raises(InputError, match="--teacher=NAME"):
        command.main(words)
    assert command.main([*words, "--teacher=resnet20"]) == 0
    plan = measured[0]
    assert (
        not plan.resident
        and plan.examples == 1_281_167
        and len(plan.experiment.train.class_names) == 1000
    )
    assert plan.image_shape == (64, 64, 3)
    # The teacher computes in what its student does.
    work = rows.work_of(plan)["teacher"]
    assert max(work.flops, key=work.flops.get) == "bfloat16"
    assert command.main([*words, "--teacher=resnet20", "--dtype=float32"]) == 0
    assert set(rows.work_of(measured[1])["teacher"].flops) == {"float32"}


def test_of_crops_that_grow_the_largest_is_compiled(tmp_path, capsys):
    text = STREAMED.replace("resnet8", "tests.networks:pooled")
    text = text.replace(', "dtype": "bfloat16"', "")
    (tmp_path / "kd.py").write_text(text)
    words = [f"--config={tmp_path}/kd.py", "--teacher=tests.networks:pooled", "--json"]

    def row(sizes):
        more = [f"--config.data.crops.sizes={sizes}"] if sizes else []
        assert command.main([*words, *more]) == 0
        captured = capsys.readouterr()
        return json.loads(captured.out), captured.err

    fixed, progress = row("")
    assert "sizes" not in progress and fixed["image_shape"] == [64, 64, 3]
    grown, progress = row("((0,32),(30,48),(60,96),(80,32))")
    assert "crops of 96x96: the largest of 3 sizes" in progress
    assert grown["image_shape"] == [96, 96, 3]
    # 64 images over 8 devices, with their index and epoch.
    assert grown["batch"] == grown["ahead"] == 8 * (96 * 96 * 3 + 8)
    # 3x3x3 to 4 at every other pixel, and 1,000 classes, of a teacher and a student.
    work = 2 * (48 * 48 * 27 * 4 + 4 * 1000)
    assert sum(grown["flops_per_image"].values()) == pytest.approx(4 * work, rel=0.02)
    smaller, _ = row("((0,32),(30,48))")
    assert smaller["batch"] == 8 * (48 * 48 * 3 + 8)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--feed=streamed"], "--config.data.feed"),
        (["--dtype=bfloat16"], "--config.model.dtype"),
        (["--teacher=resnet34"], "cifar100.*not prepared|--examples"),
    ],
)
def test_what_a_config_has_is_no_option(words, message):
    config = f"--config={ROOT}/configs/cifar100/kd.py"
    with pytest.raises(InputError, match=message):
        sliced = "--config.data.train=train[:100]"
        command.main([config, sliced, "--data_dir=/nowhere", *words])


def test_the_help_explains_every_key(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    for word in ("libtpu", "--topology", "streamed", *rows.KEYS):
        assert word in text
