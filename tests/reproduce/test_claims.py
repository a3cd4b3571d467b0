"""The claims' page from made-up sweeps: means, gaps and verdicts by hand."""

import json

import pytest

from kdjax.contracts import InputError
from kdjax.reporting.grids import Line, as_json
from kdjax.reproduce import claims, studies

SEEDS = ("0", "1", "2")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_sweep(path, axis, values):
    """A sweep's results: name -> test accuracy of each seed; one trial failed."""
    lines = [
        Line(f"seed-{seed}__{name}", cells | {"seed": seed}, name, "done", top1, 1.0)
        for name, by_seed in values.items()
        for cells in ([{axis: name}] if axis else [{}])
        for seed, top1 in zip(SEEDS, [{"top1": v} for v in by_seed], strict=True)
    ]
    lines.append(Line("seed-9", lines[0].cells | {"seed": "9"}, "", "failed", {}, None))
    write(path / "results.json", as_json(lines))


def write_detectors(path, agreement):
    """Sweeps of two rates, whose selections name their agreement as given."""
    trials = []
    for rate in ("0.2", "0.4"):
        for seed in SEEDS:
            name = f"rate-{rate}__seed-{seed}"
            cells = {"data.noise.rate": rate, "seed": seed}
            trials.append({"row": name, "cells": cells, "state": "done"})
            for number, detector in enumerate(claims.DETECTORS):
                f1 = 0.9 - 0.2 * number + 0.01 * int(seed)
                selection = {agreement: {"f1": f1}, "keep_all": {"f1": 0.75}}
                write(path / name / f"select_{detector}" / "selection.json", selection)
            networks = ("proxy", *claims.DETECTORS, "oracle", "random")
            for number, network in enumerate(networks):
                top1 = 70.0 + number * (1 if seed == "0" else -1)
                summary = {"students": {"ce": {"metrics": {"top1": top1}}}}
                summary |= {"seconds": 60.0, "identity": {"versions": {"jax": "1"}}}
                write(path / name / network / "summary.json", summary)
    write(path / "results.json", {"rows": trials})


def write_runs(root, agreement="found"):
    """All that a finished study leaves for the page."""
    taus = studies.temperatures()
    top1 = {name: (70.0 + i, 71.0 + i, 72.0 + i) for i, name in enumerate(taus)}
    write_sweep(root / "temperatures", "method", top1 | {"mse": (69.5, 72.5, 72.5)})
    for seed in SEEDS:
        distances = {
            f"seed-{seed}__method-{name}": {"logit_distance/median": 9.0 - i}
            for i, name in enumerate(taus)
        }
        write(root / "analysis" / f"program{seed}" / "analysis.json", distances)
    noisy = {n: (60.0 - i, 61.0, 62.0) for i, n in enumerate(studies.under_noise())}
    write_sweep(root / "noisy_labels", "method", noisy)
    write_sweep(root / "noisy_teachers", None, {"teacher": (60.0, 61.0, 65.0)})
    names = [*studies.adjustments(4.0, 2.0), *studies.revisions(4.0)]
    corrections = {n: (50.0 + i, 51.0 - i, 50.0) for i, n in enumerate(names)}
    write_sweep(root / "corrections", "method,selection", corrections)
    write_detectors(root / "detectors", agreement)


@pytest.mark.parametrize("agreement", ["found", "agreement"])
def test_the_page_of_a_finished_study(tmp_path, agreement):
    write_runs(tmp_path, agreement)
    text = claims.report(tmp_path, ["fashion_mnist", "--config.total_epochs=4"])
    assert "`python -m kdjax reproduce fashion_mnist --config.total_epochs=4`" in text
    lines = set(text.splitlines())
    assert lines >= {
        # 70 to 72: mean 71, sample deviation 1.
        "| ce | 71.00 ± 1.00 | 9.00 ± 0.00 |",
        # 69.5, 72.5, 72.5: mean 71.5, deviation sqrt(3); gaps to ce -0.5, 1.5, 0.5.
        "| mse | 71.50 ± 1.73 | 3.00 ± 0.00 |",
        "| mse beats plain cross entropy (+0.50 ± 1.00) | held in the mean, 2 of 3 "
        "seeds |",
        "| accuracy rises with tau at alpha 1 | held |",
        "| tau 20 is better than tau 1 (+3.00 ± 0.00) | held |",
        "| the logit distance falls with tau | held |",
        "| the logit distance is least for MSE | held |",
        "| teacher | 62.00 ± 2.65 |",
        "| kd_tau01 beats kd_inf (+2.00 ± 3.46) | held in the mean, 1 of 3 seeds |",
        # F1 of 90, 91, 92 %; accuracies 70 of everything, 71, 69, 69 of clk.
        "| 0.4 | everything | 75.00 ± 0.00 | 70.00 ± 0.00 |",
        "| 0.4 | clk | 91.00 ± 1.00 | 69.67 ± 1.15 |",
        "| 0.4: F1 of clk above keep-all (+16.00 ± 1.00) | held |",
        "| 0.4: F1 of same above keep-all (-4.00 ± 1.00) | did not hold, 0 of 3 "
        "seeds |",
        "| 0.4: retraining on clk's selection beats everything (-0.33 ± 1.15) | did "
        "not "
        "hold, 1 of 3 seeds |",
        "| 0.2 | random | - | 68.33 ± 5.77 |",
        # ka_ps: 51, 50, 50 against 50, 51, 50 of kd.
        "| ka_ps beats kd (+0.00 ± 1.00) | did not hold, 1 of 3 seeds |",
    }
    assert text.endswith("36 minutes of training in all.")


def test_seconds_of_a_program_count_once(tmp_path):
    write_runs(tmp_path)
    shared = {"seconds": 6000.0, "program": {}, "identity": {"versions": {"jax": "1"}}}
    write(tmp_path / "temperatures" / "trial" / "summary.json", shared)
    text = claims.report(tmp_path, ["fashion_mnist"])
    assert text.endswith("36 minutes of training in all.")


def test_students_without_a_seed_in_common_decide_nothing():
    claim = claims.compare("a beats b", {"0": 2.0}, {"1": 1.0})
    assert claim == ("a beats b", "no seed in common")


def test_a_step_down_is_counted():
    values = [{"0": value, "1": value} for value in (1.0, 2.0, 1.5, 3.0)]
    assert claims.rises(values) == "did not hold throughout: 2 of 3 steps rise"
    values = [{"0": value} for value in (1.0, 2.0, 1.5, 3.0)]
    assert claims.rises(values) == "one seed, 2 of 3 steps rise"


def test_what_holds_in_the_mean_alone_does_not_hold_with_every_seed():
    """As `compare` has it, in one table with it."""
    first, second = {"0": 1.0, "1": 2.0, "2": 3.0}, {"0": 4.0, "1": 1.0, "2": 5.0}
    _, verdict = claims.compare("b beats a", second, first)
    assert verdict == "held in the mean, 2 of 3 seeds"
    assert claims.rises([first, second]) == verdict
    assert claims.is_least(first, [second]) == verdict
    assert claims.is_least(second, [first]) == "did not hold, 1 of 3 seeds"
    assert claims.rises([second, first]).startswith("did not hold")
    # A seed that one of them lacks is no seed of the comparison.
    assert claims.rises([first, second | {"3": 0.0}]) == verdict
    assert claims.rises([first, {"7": 1.0}]) == "no seed in common"


def test_the_page_names_the_devices_of_its_runs(tmp_path):
    write_runs(tmp_path)
    made = {"provenance": {"python": "3.10.1", "device": "4 x TPU v9"}, "seconds": 0.0}
    summary = made | {"identity": {"versions": {"jax": "9.9"}}}
    write(tmp_path / "baseline" / "seed-0" / "summary.json", summary)
    text = claims.report(tmp_path, ["fashion_mnist"])
    assert "Python 3.10.1, jax 9.9" in text and ", on 4 x TPU v9; 36 minutes" in text


def test_a_study_that_was_not_trained_has_no_report(tmp_path):
    with pytest.raises(InputError, match="temperatures/results.json is not there; exp"):
        claims.report(tmp_path, ["fashion_mnist"])
