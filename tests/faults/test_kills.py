"""A few kills of `python -m tests.chaos`: each run ends as one without a kill."""

import pytest

from tests.chaos.matrix import Kill, differences, killed, left, prepare, start

KILLS = (
    Kill("SIGTERM", "single", "evaluating"),
    Kill("SIGKILL", "single", "saving"),
    pytest.param(Kill("SIGKILL", "coordinator", "mid-epoch"), marks=pytest.mark.long),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("kills")
    prepare(root)
    return root


@pytest.fixture(scope="module")
def whole(root):
    """What a run leaves that nothing happened to, by the number of its processes."""
    results = {}

    def of(processes):
        if processes not in results:
            start(root, root / f"whole-{processes}", processes).check()
            results[processes] = left(root / f"whole-{processes}")
        return results[processes]

    return of


@pytest.mark.parametrize("kill", KILLS, ids=str)
def test_a_run_that_is_killed_ends_bit_for_bit_the_same(root, whole, kill):
    workdir, _ = killed(root, kill)
    result, wanted = left(workdir), whole(kill.processes)
    assert len(result["arrays"]) > 30 and len(result["rows"]) == 8
    assert differences(result, wanted) == []
    # A state that was saved before its evaluation has made room for the same with it.
    assert not list((workdir / "checkpoints").glob("*.damaged"))
