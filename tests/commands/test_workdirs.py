"""Which config may go on where another one has trained."""

import json

import pytest

from kdjax.build import defaults
from kdjax.commands import workdirs
from kdjax.contracts import InputError


def test_a_run_of_before_stacking_goes_on_stacked_or_not(tmp_path):
    before = defaults.nested()
    del before["stacked"]
    (tmp_path / workdirs.CONFIG).write_text(json.dumps(before))
    for stacked in (False, True):
        now = json.loads(json.dumps(defaults.nested() | {"stacked": stacked}))
        workdirs.check_same(tmp_path, now)
    with pytest.raises(InputError, match="config.batch_size was 128 and is now 64"):
        workdirs.check_same(tmp_path, now | {"batch_size": 64})
