"""Which epochs of a cache all processes compare with the teacher."""

import types

import numpy as np

from kdjax.caching.verify import verify
from kdjax.caching.writer import write_epoch
from kdjax.distributed import collectives
from tests.caching.test_files import LAYOUTS, blocks, epoch_of, reader


def test_an_epoch_that_another_process_cannot_read_is_not_computed(
    tmp_path, monkeypatch
):
    """All compute the same samples, together; process 0 says what any has met."""
    layout, whole = LAYOUTS["single"], [epoch_of(LAYOUTS["single"], n) for n in (0, 1)]
    for epoch, arrays in enumerate(whole):
        write_epoch(tmp_path, epoch, layout, blocks(arrays))
    computed = []

    def outputs(index, epoch):
        computed.extend(epoch.tolist())
        return {
            "logits": np.stack(
                [whole[e]["logits"][i] for i, e in zip(index, epoch, strict=True)]
            )
        }

    def check(rows):
        teacher, random = (
            types.SimpleNamespace(outputs=outputs),
            np.random.default_rng(3),
        )
        cache = reader(tmp_path, layout)
        return verify(cache, teacher, [0, 1], rows, random)

    report = check(rows=15)
    assert report["rows"] == 15 and not report["problems"] and {*computed} == {0, 1}
    computed.clear()
    other = [["epoch 0: no answer"], [1]]
    monkeypatch.setattr(collectives, "all_gather", lambda own: [own, other, other])
    report = check(rows=15)
    assert report["rows"] == 10 and {*computed} == {1}
    assert report["problems"] == ["epoch 0: no answer"]
