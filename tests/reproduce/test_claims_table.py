"""The table of all claims: from pages of a test's own, and as it is committed."""

import pathlib

import pytest

from kdjax.reproduce import claims_table

ROOT = pathlib.Path(__file__).parent.parent.parent
PAGE = """# Set

## First (`python -m kdjax reproduce one --seeds=1`)

| student | test top-1 % |
|---|---|
| claimed | 1.00 |

| claim | here |
|---|---|
| kd_tau20 beats plain cross entropy (+1.00) | held |
| dkd beats kd (-1.00) | did not hold, 0 of 3 seeds |

| claim (mean difference) | here |
|---|---|
| lr_mse_sets beats kd (+0.10) | held in the mean, 2 of 3 seeds |
| lr_kl_wrong beats kd (+0.10) | one seed, larger |
| accuracy rises with tau | did not hold throughout: 1 of 4 steps rise |

## Second (`python -m kdjax reproduce two`)

Nothing is measured yet.
"""


def test_claims_are_counted_by_paper_with_their_section_and_command(tmp_path):
    (tmp_path / "configs" / "own").mkdir(parents=True)
    (tmp_path / "configs" / "own" / "RESULTS.md").write_text(PAGE)
    text = claims_table.tables(tmp_path)
    summary = text.split("###")[0].splitlines()
    counts = {line.split(",")[0]: line.split(" | ")[2:] for line in summary if line}
    assert counts["| Kim et al."] == ["2", "1", "0", "1", "0", "0", "0 |"]
    assert counts["| Zhao et al."] == ["1", "0", "0", "1", "0", "0", "0 |"]
    assert counts["| Lan et al."] == ["2", "0", "1", "0", "0", "0", "1 |"]
    link = "[own: First](../configs/own/RESULTS.md#"
    assert (
        link + "first-python--m-kdjax-reproduce-one---seeds1), `python -m kdjax" in text
    )
    assert "| dkd beats kd (-1.00) | did not hold, 0 of 3 seeds |" in text
    assert "claimed" not in text
    assert "- [own](../configs/own/RESULTS.md): Second (`python -m" in text


def test_rows_of_older_settings_are_marked_and_counted_apart(tmp_path):
    """Of the methods that the note names, in its section alone."""
    (tmp_path / "configs" / "own").mkdir(parents=True)
    note = "Older settings: `lr_mse` had another lambda1."
    head, rest = PAGE.split("| student |")
    page = f"{head}{note}\n\n| student |{rest}"
    later = "## Third (`python -m kdjax reproduce three`)\n\n| claim | here |\n"
    later += "|---|---|\n| lr_mse beats kd (+2.00) | held |\n"
    (tmp_path / "configs" / "own" / "RESULTS.md").write_text(f"{page}\n{later}")
    text = claims_table.tables(tmp_path)
    assert "kdjax reproduce one --seeds=1`:\n\n" + note in text
    assert "kd (+0.10) | held in the mean, 2 of 3 seeds (older settings) |" in text
    own = "| lr_kl_wrong beats kd (+0.10) | one seed, larger (own check) |"
    assert own in text  # a variant that no paper has
    assert "| lr_mse beats kd (+2.00) | held |" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| Lan et al."))
    assert row.endswith("| own | 3 | 1 | 0 | 0 | 0 | 1 | 1 |")
    assert text.count(note) == 1


def test_older_rows_of_the_committed_pages_are_marked():
    """What configs/fashion_mnist/RESULTS.md says of the first table of Lan et al."""
    older = [claim for claim in claims_table.read(ROOT) if claim.note]
    assert {claim.method for claim in older} == {"lr_mse", "ds", "lr_ds"}
    assert {claim.title.partition(",")[0] for claim in older} == {"Logits adjustment"}
    assert len(older) == 8


@pytest.mark.parametrize(
    "claim, method",
    [
        ("0.4: retraining on same's selection beats everything", "tickets"),
        ("the logit distance is least for MSE", "mse"),
        ("kd beats ce", "kd"),
        ("kd_tau05_plain beats mse", "mse"),
        ("ka_lsr_tau1 beats kd_tau1", "ka_lsr"),
        ("dtd_la_small beats dtd_la", "dtd_la"),
        ("lr_kl_wrong beats kd", "lr_kl"),
        ("lr_mse_batch beats kd", "lr_mse"),
        ("lr_mse_strong beats kd", "lr_mse"),
        ("lr_ds by influence beats lr_ds at random", "lr_ds"),
    ],
)
def test_a_claim_is_of_the_paper_of_what_is_claimed_to_be_better(claim, method):
    assert claims_table.method_of(claim) == method


def test_a_claim_of_nobody_is_no_row():
    with pytest.raises(ValueError, match="'blue beats red' names no method"):
        claims_table.method_of("blue beats red")


def test_every_verdict_on_the_committed_pages_is_counted():
    for claim in claims_table.read(ROOT):
        assert sum(claims_table._counts([claim])) == 1, claim
        assert claim.command and claim.title, claim
