"""The table of what accelerator.sh measured, from answers that are cut off too."""

import json
import pathlib

import pytest

from benchmarks import accelerator
from kdjax.bench import rows

ROOT = pathlib.Path(__file__).parent.parent.parent
GPU = {"platform": "gpu", "device": "NVIDIA X", "devices": 1, "driver": "580.1"}
GPU |= {"cores": 16, "python": "3.12.1", "versions": {"jax": "0.11.2"}}


def row(mode, rate, students=1, **changes):
    """A line of `kdjax bench --json`, with the keys that it has."""
    full = dict.fromkeys(rows.KEYS, 1.0) | {"pair": "a:b", "mode": mode}
    full |= {"students": students, "batch_size": 128, "images_per_second": rate}
    full |= {"student_images_per_second": rate * students, "flop_utilisation": None}
    flops = {"float32": 1.0, "bfloat16": 9.0} if students else {}
    return full | {"flops_per_image": flops, "memory_utilisation": 0.5} | changes


@pytest.fixture
def measured(tmp_path):
    (tmp_path / "facts.out").write_text(f"a line of nvidia-smi\n{json.dumps(GPU)}\n")
    lines = [row("live", 100.0), row("live", 1234.4), row("input", 7e5, 0)]
    text = "\n".join(map(json.dumps, lines)) + '\n{"pair": "cut of'
    (tmp_path / "wrn_bfloat16.out").write_text(text)
    rate = {"median": 120.0, "low": 100.0, "high": 140.0}
    contestant = {"name": "torch plain", "version": "torch 2.13", "dtype": "float32"}
    contestant |= {"images_per_second": rate}
    ratio = {"ours": "kdjax live", "theirs": "torch plain", "ratio": rate}
    result = {"rows": [contestant], "ratios": [ratio]}
    (tmp_path / "torch.json").write_text(json.dumps(result))
    return tmp_path


def test_the_newest_answer_of_each_mode_is_in_the_table(measured):
    text = accelerator.page(measured)
    assert "1 x NVIDIA X, driver 580.1, 16 cores; Python 3.12.1, jax 0.11.2" in text
    live, alone = (line for line in text.splitlines() if "CIFAR, bfloat16 |" in line)
    cells = [cell.strip() for cell in live.split("|")[1:-1]]
    assert cells[2:7] == ["bfloat16", "128", "live", "1", "1,234"]
    assert cells[8:11] == ["1,234", "-", "50.0 %"]
    assert [c.strip() for c in alone.split("|")[3:8]] == ["-", "128", "input", "-"] + [
        "700,000"
    ]
    assert "| CIFAR | torch plain (torch 2.13) | float32 | 120 | 100 - 140 |" in text
    assert "| CIFAR | kdjax live | torch plain | 120.00 | 100.00 - 140.00 |" in text
    assert text.rstrip().endswith(
        "Not measured: wrn_float32, resnet_bfloat16, grid_bfloat16, resnet_streamed, "
        "torch_resnet."
    )


@pytest.mark.parametrize("where", ["gpu", "cpu", None])
def test_only_accelerators_are_published(measured, tmp_path_factory, where):
    if where is None:
        (measured / "facts.out").unlink()
    else:
        facts = json.dumps(GPU | {"platform": where})
        (measured / "facts.out").write_text(facts)
    published = tmp_path_factory.mktemp("published") / "accelerator.md"
    words = ["table", str(measured), f"--publish={published}"]
    assert accelerator.main(words) == 0
    assert (measured / "accelerator.md").exists()
    assert published.exists() == (where == "gpu")


def test_the_stages_of_the_table_are_those_of_the_script():
    script = ROOT / "launch" / "accelerator.sh"
    text = script.read_text()
    for name in accelerator.BENCH:
        assert f"\nbench {name} " in text
    for name in accelerator.TORCH:
        assert f" torch {name} " in text


def test_facts_are_of_this_machine(capsys):
    assert accelerator.main(["facts"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["platform"] == "cpu" and facts["devices"] == 8 and facts["cores"] > 0
