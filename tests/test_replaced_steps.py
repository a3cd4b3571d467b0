"""A state that was saved before its evaluation, and is saved again with its scores."""

import jax
import numpy as np
import pytest

from kdjax.checkpoints import Checkpointer, StorageError, aside
from tests.test_checkpoints import META, problem, restore, saved, scores

__all__ = ["problem"]  # a fixture


@pytest.mark.parametrize("is_saved", (False, True))
def test_a_state_that_is_replaced_is_there_until_the_other_one_is(
    problem, tmp_path, monkeypatch, is_saved
):
    """Saved before it was evaluated, and again after; killed, or a disk is full."""
    copies = saved(problem, tmp_path / "c", [None])
    saver = Checkpointer(tmp_path / "c", ("conv", "flat"), META)
    if is_saved:
        saver.save(1, problem.initialise(), scores(1, 1))
        monkeypatch.setattr(aside.files, "remove_tree", lambda directory: None)
        saver.wait()  # and is killed before it has deleted the old one
        monkeypatch.undo()
    else:
        save = saver._manager.save

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(saver._manager, "save", full)
        with pytest.raises(StorageError):
            saver.save(1, problem.initialise(), scores(1, 1))
        monkeypatch.setattr(saver._manager, "save", save)
    saver.close()
    assert (tmp_path / "c" / "1.replaced").is_dir()
    (states, meta), _ = restore(problem, tmp_path / "c")
    assert ("metrics" in meta) == is_saved
    if not is_saved:
        jax.tree.map(np.testing.assert_array_equal, states, copies[1])
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["1"]
