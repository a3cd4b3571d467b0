"""The small study on CIFAR-100: its plan, all of it in miniature, and its page."""

import json
import pathlib
import re
import statistics
import sys

import numpy as np
import pytest
from scipy import stats

from kdjax.cli import reproduce
from kdjax.contracts import InputError
from kdjax.experiment.schema import plain
from kdjax.reproduce import records as recording
from kdjax.reproduce import run as trainings
from kdjax.reproduce import small, small_page, teacher_file
from kdjax.reproduce.claims_table import NOT_MEASURED
from kdjax.reproduce.plans import Settings
from kdjax.runner import run
from tests.reproduce import stored as records

ROOT = pathlib.Path("/runs")
NETWORK = {"name": "tests.networks:coarse"}


def test_every_run_would_train_after_those_that_it_reads():
    earlier = set()
    for one in small.plan(Settings(seeds=(0, 7)), ROOT):
        run.check(one.config, ROOT)
        named = [one.config["teacher"]["workdir"], one.config["data"]["keep"]]
        named.append(one.config["select"].get("proxies", ""))
        for student in one.config["students"].values():
            named.append(student.get("selection", {}).get("reference", ""))
        assert set(filter(None, named)) <= earlier, one.name
        earlier.add(str(ROOT / one.name))


def test_noisy_labels_have_a_teacher_of_their_own_and_each_method_a_row_once():
    runs = small.plan(Settings(seeds=(0, 1)), ROOT)
    names = [name for one in runs for name in one.config["students"]]
    clean = [n for n in names if names.count(n) == 2]
    assert set(names) - set(clean) == {"dtd_la", "kd_tau20"}  # in both halves
    for one in runs:
        is_noisy = one.name.startswith(("noise", "detectors", small.NOISY_TEACHER))
        assert ("rate" in one.config["data"]["noise"]) == is_noisy, one.name
        if one.config["students"]:
            teacher = small.NOISY_TEACHER if is_noisy else small.TEACHER
            assert one.config["teacher"]["workdir"] == str(ROOT / teacher)
    by_random = [one.config["students"].get("ds_random", {}) for one in runs]
    kinds = [student["selection"]["name"] for student in by_random if student]
    assert kinds == ["random", "random"]


@pytest.fixture
def miniature(tmp_path, monkeypatch, as_they_are, own_networks):
    """The command, of two students and one detector, two steps a run."""
    draw, arrays = np.random.default_rng(0), {}
    for name, count in (("train", 400), ("test", 40)):
        arrays[f"{name}_image"] = draw.integers(0, 256, (count, 8, 8, 3), np.uint8)
        arrays[f"{name}_label"] = np.arange(count) % 5
    np.savez(tmp_path / "small.npz", **arrays)
    all_units, protocol = small.units(), small.protocol
    selections = all_units["selections"].students
    units = {
        "labels": small.Unit({"ce": {"method": {"name": "ce"}}}),
        "selections": small.Unit({"ds": selections["ds"]}),
    }
    monkeypatch.setattr(small, "units", lambda: units)
    monkeypatch.setattr(small, "DETECTORS", ("same",))
    monkeypatch.setattr(small, "EPOCHS", dict.fromkeys(small.EPOCHS, 1.0))
    monkeypatch.setattr(
        small, "protocol", lambda *network: protocol(*network) | {"model": NETWORK}
    )
    words = ["cifar100-small", f"--data={tmp_path / 'small.npz'}", "--total_steps=2"]
    return [*words, f"--runs={tmp_path / 'runs'}", "--seeds=3", "--devices=1"]


@pytest.mark.long
def test_the_second_start_trains_nothing_and_writes_the_same_page(
    miniature, tmp_path, capsys
):
    assert reproduce.main(miniature) == 0
    page = tmp_path / "runs" / "RESULTS.md"
    first, results = page.read_text(), page.parent / "results"
    files = {p.name: p.read_bytes() for p in results.iterdir()}
    recorded = {name: text for name, text in files.items() if name.endswith(".json")}
    capsys.readouterr()
    assert reproduce.main(miniature) == 0
    assert "training in one program" not in capsys.readouterr().err
    assert page.read_text() == first
    assert {p.name: p.read_bytes() for p in results.iterdir()} == files
    assert {"resnet20.safetensors", "resnet20.md"} == files.keys() - recorded.keys()
    # The teacher, two units, a reference, proxy and retraining.
    assert len(recorded) == 1 + 2 + 1 + 2
    kept = [json.loads(text)["kept"] for text in recorded.values()]
    reference, ticket = sorted(filter(None, kept), key=len)
    assert reference == {"kept": 360}  # all but a tenth of each class
    assert 0 < ticket["kept"] < 400 and 0 <= ticket["agreement"]["f1"] <= 1
    for name in ("ce", "ds", "proxy", "same"):
        assert re.search(rf"\| {name} \| [0-9.]+ \| 3 \|", first), name
    assert not re.search(r'"/|~/|=/', first)


def test_the_teacher_is_exported_before_its_students_are_trained(monkeypatch, tmp_path):
    calls = []

    def train(runs, root, minutes, record, devices):
        for one in runs[:2]:
            record(one, root / one.name)

    def export(config, workdir, results):
        calls.append(f"export {workdir.name}")

    monkeypatch.setattr(trainings, "run", train)
    monkeypatch.setattr(recording, "add", lambda *words: calls.append(words[4].name))
    monkeypatch.setattr(teacher_file, "export_teacher", export)
    words = ["cifar100-small", "--total_steps=2", f"--runs={tmp_path}"]
    assert reproduce.main(words) == 0
    first, rest = calls[:2], calls[2:]
    assert first == ["resnet20", "export resnet20"]
    assert rest == ["labels-seed0", "export resnet20"]  # which does nothing then


def test_without_the_package_of_its_file_nothing_is_trained(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setattr(trainings, "run", lambda *_: pytest.fail("it trains"))
    words = ["cifar100-small", "--total_steps=2", f"--runs={tmp_path}"]
    with pytest.raises(InputError, match=r"safetensors: pip install"):
        reproduce.main(words)


SCORES = {
    "ce": (50.0, 51.0, 50.5),
    "kd": (52.0, 52.5, 53.0),
    "kd_tau20": (53.0, 53.1, 53.3),
    "kd_tau1": (51.0, 53.2, 52.0),
}
DISTANCES = {"ce": 9.0, "kd": 5.0, "kd_tau20": 3.0, "kd_tau1": 8.0}


def record(unit, seed, students, **more):
    return records.record(small.NAME, unit, seed, students, **more)


@pytest.fixture
def stored(tmp_path):
    """A directory of records of six students and a detector, with three seeds."""
    rows = [record("resnet20", 0, {"student": 66.0})]
    for seed in range(3):
        students = {
            name: (values[seed], DISTANCES[name] + seed)
            for name, values in SCORES.items()
        }
        wrong = {"images": 50_000, "percent": 21.5}
        teacher = {"digest": "d", "wrong_labels": wrong}
        rows.append(record(f"labels-seed{seed}", seed, students, teacher=teacher))
        students = {"kd_tau05": (40.0 + seed, 2.0), "kd_tau20": (38.0, 2.0)}
        rows.append(record(f"noise-seed{seed}", seed, students))
        f1 = {"agreement": {"f1": 0.7 + 0.1 * seed}}
        for stage, top1, more in (("proxy", 30.0, {}), ("same", 29.0, {"kept": f1})):
            name = f"detectors-seed{seed}/{stage}"
            rows.append(record(name, seed, {"student": top1 + 2 * seed}, **more))
    results = tmp_path / "page" / "results"
    results.mkdir(parents=True)
    for number, row in enumerate(rows):
        (results / f"{number}.json").write_text(json.dumps(row))
    return results


def test_the_page_says_what_the_records_give_when_worked_out_by_hand(stored):
    text = small_page.write(small.NAME, stored).read_text()
    gaps = np.array(SCORES["kd_tau20"]) - np.array(SCORES["kd"])
    half = stats.sem(gaps) * stats.t.ppf(0.975, 2)
    low, high = gaps.mean() - half, gaps.mean() + half
    assert low < 0 < high
    mean, deviation = statistics.mean(SCORES["ce"]), statistics.stdev(SCORES["ce"])
    own = text.split("### Under")[0]  # of clean labels
    rows = [line.split(" | ") for line in own.splitlines() if line.startswith("| ")]
    cells = {first.removeprefix("| "): rest for first, *rest in rows}
    interval = f"{gaps.mean():+.2f} ({low:+.2f} to {high:+.2f}), noise"
    assert cells["kd_tau20"] == ["53.13 ± 0.15", "0, 1, 2", interval, "4.00 ± 1.00 |"]
    assert cells["ce"][0] == f"{mean:.2f} ± {deviation:.2f}"
    assert cells["kd"][2] == "-"
    assert cells["kd beats ce (+2.00 ± 0.50)"] == ["held |"]
    assert cells["kd_tau20 beats kd_tau1 (+1.07 ± 1.07)"] == [
        "held in the mean, 2 of 3 seeds |"
    ]
    assert "| same beats proxy (-1.00 ± 0.00) | did not hold, 0 of 3 seeds |" in text
    assert "| kd_tau05 beats kd_tau20 (+3.00 ± 1.00) | held |" in text
    assert "same | 80.00 ± 10.00" in text and "same | 31.00 ± 2.00 | 0, 1, 2" in text
    wrong = "of the test images; wrong on 21.50 % of the training images."
    assert f"`resnet20`: 66.00 % {wrong}" in text and "13 runs, 6.5 hours" in text
    assert "| labels | 3 | 4 | 30 | 1,000 |" in text
    assert "| detectors | 6 | 1 | 30 | 1,000 |" in text
    assert "with tau" not in own.split("claim")[1]  # two of its five are there


def test_published_numbers_stand_apart_each_beside_its_own_student_of_labels(stored):
    text = small_page.write(small.NAME, stored).read_text()
    apart = text.split("### Published, by other protocols")[1]
    # Kim et al. 2021: 72.68 by labels, 75.15 at temperature 20.
    assert "| kd_tau20 | 53.13 (+2.63) | 75.15 (+2.47) | - |" in apart
    assert "| ce | 50.50 | 72.68 | 69.06 |" in apart
    assert "75.15" not in text.split("### Published")[0]


def test_a_second_start_writes_the_same_page_and_figures_byte_for_byte(stored):
    def files():
        small_page.write(small.NAME, stored)
        below = [p for p in stored.parent.rglob("*") if p.is_file()]
        return {str(p.relative_to(stored.parent)): p.read_bytes() for p in below}

    first = files()
    assert len([name for name in first if name.endswith(".svg")]) == 3
    assert files() == first


def test_claims_on_distances_need_all_temperatures():
    seeds = {0: 1.0, 1: 1.0}
    distance = {
        tau: {s: 9.0 - i for s in seeds} for i, tau in enumerate(small_page.TAUS)
    }
    assert small_page.clean_claims({}, distance) == []
    least = "the logit distance is least for MSE"
    falls = ("the logit distance falls with tau", "held")
    for mse, verdict in ((1.0, "held"), (8.5, "did not hold, 0 of 2 seeds")):
        distance["mse"] = dict.fromkeys(seeds, mse)
        claims = small_page.clean_claims({}, distance)
        assert claims == [falls, (least, verdict)]


def test_methods_of_the_field_are_compared_with_kd_that_has_labels_as_they_have():
    top1 = {name: {0: 50.0, 1: 51.0} for name in ("kd", "kd_labels", "dkd", "ka_ps")}
    pairs = [text.partition(" (")[0] for text, _ in small_page.clean_claims(top1, {})]
    assert pairs == ["ka_ps beats kd", "dkd beats kd_labels"]


def test_without_records_nothing_is_measured(tmp_path):
    text = small_page.section([])
    assert "Nothing is measured yet." in text and NOT_MEASURED.search(text)
    text = small_page.section([record(small.TEACHER, 0, {"ce": 60.0})])
    assert "60.00 % of the test images" in text and NOT_MEASURED.search(text)
    both = [
        record(small.TEACHER, 0, {"ce": 60.0}),
        record("labels-seed0", 0, {"kd": 5.0}),
    ]
    assert not NOT_MEASURED.search(small_page.section(both))


def test_the_protocol_is_one_that_the_teacher_of_the_first_study_had():
    """A run may begin before the command is there, and is gone on with."""
    config = plain(small.plan(Settings(), ROOT)[0].config)
    assert config["schedule"] == {
        "name": "cosine",
        "learning_rate": 0.1,
        "warmup_epochs": 1.0,
    }
    assert (config["batch_size"], config["total_epochs"]) == (128, 60.0)
    assert config["optimizer"]["nesterov"] and not config["optimizer"]["clip_norm"]
