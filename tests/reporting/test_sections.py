"""What the sections say, by numbers that are computed here."""

import json
import math
import statistics

import pytest

from kdjax.reporting.blocks import Chart, Code, Table
from kdjax.reporting.runs import read_runs
from kdjax.reporting.sections import run_sections
from kdjax.reporting.sections.comparison import NOISE, ONE_SEED
from tests.reporting.workdirs import demo, section, write


def sections_of(*roots, **options):
    return {s.title: s for s in run_sections(read_runs(list(roots)), **options)}


def blocks_of(found, kind):
    return [block for block in found.blocks if isinstance(block, kind)]


def values(spec):
    """All rows of data in a chart."""
    if isinstance(spec, list):
        return [row for one in spec for row in values(one)]
    if not isinstance(spec, dict):
        return []
    own = spec.get("data", {}).get("values", [])
    return own + [row for k, one in spec.items() if k != "data" for row in values(one)]


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    return sections_of(*demo(tmp_path_factory.mktemp("demo")))


def test_what_was_run_names_data_teacher_and_command(sections):
    facts = dict(blocks_of(sections["What was run"], Table)[0].rows)
    assert facts["data"] == (
        "toys 1.0.0: 640 training images (train), 200 test images (test), 10 classes"
    )
    assert facts["teacher"] == "teacher (wide_resnet): 90.00 % test top-1"
    assert facts["trained"] == "16 networks in 4 runs" and facts["seeds"] == "0, 1, 2"
    assert facts["versions"] == "kdjax 0.1.0, jax 0.10.2"
    assert facts["device"] == "2 x CPU device" and facts["finished"] == "2026-01-02"
    assert facts["goodput"] == "70.0 % of 1m40s" and "commit" not in facts
    command, config = blocks_of(sections["What was run"], Code)
    assert command.text == "python -m kdjax train --config=a.py"
    assert "batch_size = 64\n" in config.text and config.is_folded


def test_the_table_has_means_bests_and_published_numbers(sections):
    (table,) = blocks_of(sections["Results"], Table)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    own = [83.0 + 0.3 * math.sin(7.0 * seed + 3) + 0.5 * seed for seed in range(3)]
    mean, deviation = statistics.fmean(own), statistics.stdev(own)
    row = rows["kd_inf"]
    assert row["test top-1 %"] == f"{mean:.2f} ± {deviation:.2f} (3)"
    assert row["best %"] == f"{mean + 1:.2f} ± {deviation:.2f} (3)"
    assert row["at epoch"] == "4" and row["published %"] == "81.00"
    assert rows["teacher"]["agreement %"] == "-"
    assert [row[0] for row in table.rows][:3] == ["teacher", "kd_inf", "kd_tau4"]
    assert "Published: a paper." in table.caption
    (chart,) = blocks_of(sections["Results"], Chart)
    dots = [row for row in values(chart.spec) if row.get("text")]
    assert [row["network"] for row in dots][0] == "kd_inf"
    assert dots[0]["low"] == pytest.approx(mean - deviation)


def test_methods_are_ranked_by_differences_within_seeds(sections):
    (table,) = blocks_of(sections["Compared with ce"], Table)
    rows = {row[1]: row for row in table.rows}
    assert [row[1] for row in table.rows] == ["kd_inf", "kd_tau4", "kd_tau1", "mse"]
    gaps = [
        3.0 + 0.3 * (math.sin(7.0 * seed + 3) - math.sin(7.0 * seed))
        for seed in range(3)
    ]
    half = 4.302653 * statistics.stdev(gaps) / math.sqrt(3)
    mean = statistics.fmean(gaps)
    assert rows["kd_inf"][2:] == (
        "above",
        f"{mean:+.2f}",
        f"{mean - half:+.2f} to {mean + half:+.2f}",
        "3",
    )
    assert rows["kd_tau1"][2] == NOISE


def test_one_seed_says_nothing(tmp_path):
    students = {"ce": (section("ce"), 50.0), "kd": (section("kd"), 90.0)}
    write(tmp_path / "w", students)
    found = sections_of(tmp_path)["Compared with ce"]
    (row,) = blocks_of(found, Table)[0].rows
    assert row == ("1", "kd", ONE_SEED, "+40.00", "1")


def test_other_networks_and_other_test_images_are_not_compared(tmp_path):
    students = {"ce": (section("ce"), 50.0), "wide": (section("kd", width=8), 90.0)}
    write(tmp_path / "w", students)
    path = write(tmp_path / "other", {"kd": (section("kd"), 55.0)})
    config = json.loads((path / "config.json").read_text())
    config["data"]["name"] = "others"
    (path / "config.json").write_text(json.dumps(config))
    found = sections_of(tmp_path)
    assert found["Compared with ce"].blocks == [
        "Not compared with ce: other (other test images); wide (another network)."
    ]
    (table,) = blocks_of(found["Results"], Table)
    assert "compare within one set only" in table.caption


def test_only_trainings_of_one_length_batch_and_data_are_compared(tmp_path):
    students = {"ce": (section("ce"), 50.0), "kd": (section("kd"), 51.0)}
    write(tmp_path / "w", students)
    for name, own in {
        "long": {"total_epochs": 240.0},
        "few": {"total_steps": 300},
        "batch": {"batch_size": 128},
        "going": {"finished": False},
        "seed": {"seed": 7},
        "noisy": {},
        "kept": {},
        "local": {},
    }.items():
        method = {"local": "ka_ps", "going": "dist"}.get(name, "mse")
        one = section(method, own.get("seed", 0))
        write(tmp_path / name, {method: (one, 90.0)}, **own)
    for name, key, value in (
        ("noisy", "noise", {"name": "symmetric", "rate": 0.4, "seed": 1}),
        ("kept", "keep", "runs/selected"),
        ("local", "data_dir", "elsewhere"),
    ):
        path = tmp_path / name / "config.json"
        config = json.loads(path.read_text())
        config["data"][key] = value
        path.write_text(json.dumps(config))
    for path in tmp_path.glob("*/config.json"):
        config = json.loads(path.read_text())
        config["data"].setdefault("noise", {"name": "none"})
        path.write_text(json.dumps(config))
    *_, table, note = sections_of(tmp_path)["Compared with ce"].blocks
    # What a method selects is its own affair, and where the data lie nobody's.
    assert {row[1] for row in table.rows} == {"kd", "kept", "local"}
    assert note == (
        "Not compared with ce: batch (batch_size 128 instead of 64); few (300 steps "
        "instead of 5 epochs); going (not finished); long (240 epochs instead of 5); "
        "noisy (data.noise.name symmetric instead of none); seed (no seed in common)."
    )


def test_accuracy_against_temperature_ends_in_infinity(sections):
    (chart,) = blocks_of(sections["Temperature"], Chart)
    rows = values(chart.spec)
    assert [row["tau"] for row in rows] == ["1", "4", "\u221e"]
    assert [row["at"] for row in rows] == [1.0, 4.0, 16.0]
    assert "kd, alpha 1" in chart.alt


def test_a_heatmap_where_alpha_and_temperature_vary(tmp_path):
    for seed in (0, 1):
        students = {
            f"kd_{alpha}_{tau}": (
                section("kd", seed, alpha=alpha, temperature=tau),
                50.0 + alpha + tau + seed,
            )
            for alpha in (0.1, 0.9)
            for tau in (1.0, 4.0)
        }
        write(tmp_path / f"s{seed}", students, seed=seed)
    heatmap, line = blocks_of(sections_of(tmp_path)["Temperature and alpha"], Chart)
    cells = {(row["x"], row["y"]): row["value"] for row in values(heatmap.spec)}
    assert cells["4", "0.9"] == pytest.approx(55.4)
    assert len({row["network"] for row in values(line.spec)}) == 2


def test_temperatures_of_other_trainings_are_another_line(tmp_path):
    for epochs in (5.0, 9.0):
        for tau in (1.0, 4.0):
            one = section("kd", alpha=0.5, temperature=tau)
            path = tmp_path / f"{epochs:g}-{tau:g}"
            write(path, {"kd": (one, 50.0 + epochs + tau)}, total_epochs=epochs)
    (line,) = blocks_of(sections_of(tmp_path)["Temperature"], Chart)
    shown = {(r["network"], r["tau"]): r["value"] for r in values(line.spec)}
    names = [f"kd, alpha 0.5, {n} epochs" for n in (5, 9)]
    assert shown == {
        (names[0], "1"): 56.0,
        (names[0], "4"): 59.0,
        (names[1], "1"): 60.0,
        (names[1], "4"): 63.0,
    }


def test_curves_are_there_for_all_that_was_logged(sections):
    captions = [c.caption for c in blocks_of(sections["Training curves"], Chart)]
    starts = [caption.split(".")[0].split(",")[0] for caption in captions]
    assert starts == [
        *("Test accuracy", "Training objective", "Test cross entropy"),
        *("Agreement with the teacher", "Loss term: hard label"),
        "Loss term: soft logits",
    ]
    accuracy = blocks_of(sections["Training curves"], Chart)[0]
    rows = [row for row in values(accuracy.spec) if row["network"] == "mse"]
    assert {row["run"] for row in rows} == {"seed 0", "seed 1", "seed 2"}
    temperature, rate = blocks_of(sections["Temperatures and learning rates"], Chart)
    assert values(temperature.spec)[0]["value"] == pytest.approx(3.95)
    assert rate.caption.startswith("Learning rate")


def test_temperatures_of_few_networks_have_their_range(tmp_path):
    write(tmp_path / "w", {"dtd": (section("dtd_flsw"), 50.0)})
    found = sections_of(tmp_path)["Temperatures and learning rates"]
    temperature, _ = blocks_of(found, Chart)
    row = values(temperature.spec)[0]
    assert (row["low"], row["value"], row["high"]) == pytest.approx((2.95, 3.95, 4.95))
    assert "Area: least to largest." in temperature.caption


def test_runs_of_a_sweep_have_short_names_and_a_program_is_one_row(tmp_path):
    for tau in (1.0, 2.0, 4.0):
        name = f"method.temperature-{tau}__method.alpha-0.5"
        students = {"kd": (section("kd", temperature=tau, alpha=0.5), 50.0)}
        path = write(tmp_path / name, students)
        summary = json.loads((path / "summary.json").read_text())
        if tau < 4:
            summary["program"] = {"workdir": "programs/one", "student": name}
        (path / "summary.json").write_text(json.dumps(summary))
    found = sections_of(tmp_path)
    table, *charts = found["Throughput and time"].blocks
    names = ["program 1, 2 trials", "kd, tau 4"]
    assert [row[0] for row in table.rows] == names
    assert table.caption.endswith("program 1 trained kd, tau 1 · kd, tau 2.")
    for chart in charts:
        shown = dict.fromkeys(row["run"] for row in values(chart.spec))
        assert list(shown) == names and "method." not in chart.alt
    facts = dict(blocks_of(found["What was run"], Table)[0].rows)
    assert facts["trained"] == "3 networks in 3 runs"


def test_time_adds_up_to_the_wall_time(sections):
    table, *charts = sections["Throughput and time"].blocks
    assert table.rows[0][:4] == ["teacher", "1m40s", "70.0 %", "910"]
    rows = [row for row in values(charts[0].spec) if row["run"] == "teacher"]
    assert sum(row["seconds"] for row in rows) == pytest.approx(100.0)


def test_long_runs_are_thinned_and_it_is_said(tmp_path):
    write(tmp_path / "w", {"kd": (section("kd"), 50.0)}, epochs=800)
    charts = blocks_of(sections_of(tmp_path)["Training curves"], Chart)
    objective = next(c for c in charts if c.caption.startswith("Training objective"))
    assert "One point of 4 is shown." in objective.caption
    rows = values(objective.spec)
    assert len(rows) == 800 and rows[-1]["epoch"] == 800.0


def test_of_many_networks_the_best_are_drawn(tmp_path):
    students = {f"n{i}": (section("kd", beta=i), 30.0 + i) for i in range(40)}
    write(tmp_path / "w", students, epochs=1)
    found = sections_of(tmp_path)
    note, accuracy, *_ = found["Training curves"].blocks
    assert note == "Of 40 networks the 21 best are drawn."
    drawn = {row["network"] for row in values(accuracy.spec)}
    assert drawn == {f"n{i}" for i in range(19, 40)}
    assert len(blocks_of(found["Results"], Table)[0].rows) == 40


def test_a_run_that_goes_on_has_what_it_has(tmp_path):
    students = {"ce": (section("ce"), 50.0), "kd": (section("kd"), 51.0)}
    write(tmp_path / "w", students, finished=False, epochs=2)
    found = sections_of(tmp_path)
    facts = dict(blocks_of(found["What was run"], Table)[0].rows)
    assert facts["trained"] == "2 networks in 1 run; not finished: w at epoch 2"
    (table,) = blocks_of(found["Results"], Table)
    assert [row[0] for row in table.rows] == ["kd (not finished)", "ce (not finished)"]
    assert "Throughput and time" in found


def test_sections_without_data_are_left_out(tmp_path):
    path = write(tmp_path / "w", {"ce": (section("ce"), 50.0)})
    (path / "metrics.jsonl").write_text("")
    assert list(sections_of(tmp_path)) == ["What was run", "Results"]


def test_every_chart_is_described(sections):
    charts = [b for s in sections.values() for b in blocks_of(s, Chart)]
    assert len(charts) == 13
    for chart in charts:
        assert len(chart.alt) > 20 and chart.alt.endswith(".") and chart.caption
