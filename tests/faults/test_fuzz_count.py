"""How many cases the tests beside this one draw; each checks that it draws its own."""

from tests.faults import (
    test_fuzz_losses,
    test_fuzz_schema,
    test_fuzz_selection,
    test_fuzz_supervision,
)


def test_ten_thousand_cases_are_drawn():
    losses, rules = test_fuzz_losses, test_fuzz_supervision
    cases = {
        "losses": len(losses.FUNCTIONS) * (losses.CASES + losses.RIGHT),
        "supervision": len(rules.NAMES) * (rules.CASES + rules.RIGHT),
        "selection": len(test_fuzz_selection.FUNCTIONS) * test_fuzz_selection.CASES,
        "schema": 3 * test_fuzz_schema.CASES,
    }
    print(f"{sum(cases.values()):,} cases: {cases}")
    assert sum(cases.values()) >= 10_000, cases
