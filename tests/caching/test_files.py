"""The files of a cache: sizes, rounding, whole epochs or none, damage."""

import hashlib
import json

import numpy as np
import pytest

from kdjax.caching import manifest
from kdjax.caching.layout import CHECKSUMS, Layout, missing
from kdjax.caching.reader import Reader
from kdjax.caching.writer import rounded, write_epoch
from kdjax.checkpoints import StorageError
from kdjax.contracts import InputError

PLAIN = {"examples": 10, "classes": 6, "members": 0, "dtype": "float16", "top_k": 0}
LAYOUTS = {
    "all": Layout(**PLAIN, features={}),
    "top": Layout(**PLAIN | {"top_k": 2}, features={"pooled": (3,)}),
    "ensemble": Layout(**PLAIN | {"members": 2, "top_k": 2}, features={}),
    "single": Layout(**PLAIN | {"dtype": "float32"}, features={}),
}


def epoch_of(layout, seed=0):
    """An epoch's arrays as the teacher would give them."""
    random = np.random.default_rng(seed)
    return {
        name: random.integers(0, 6, (10, *shape)).astype(np.int32)
        if dtype.kind == "u"
        else random.normal(size=(10, *shape)).astype(np.float32)
        for name, (shape, dtype) in layout.arrays().items()
    }


def blocks(arrays, rows=4):
    for start in range(0, 10, rows):
        yield {name: array[start : start + rows] for name, array in arrays.items()}


def reader(directory, layout):
    record = layout.as_json() | {"epochs": 2, "format": 1}
    return Reader(directory, json.loads(json.dumps(record)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_rows_come_back_and_the_size_is_what_was_said(name, tmp_path):
    layout, sizes = LAYOUTS[name], []
    wanted = [epoch_of(layout, seed) for seed in (0, 1)]
    for epoch, arrays in enumerate(wanted):
        write_epoch(tmp_path, epoch, layout, blocks(arrays), sizes.append)
    assert sizes == [4, 4, 2] * 2
    on_disk = sum(path.stat().st_size for path in tmp_path.glob("*/*.npy"))
    assert on_disk == 2 * layout.bytes_per_epoch()
    index = np.array([3, 3, 0, 9, 7], np.int32)
    epoch = np.array([0, 1, 1, 0, 1], np.int32)
    found = reader(tmp_path, layout).rows(index, epoch)
    for key, (_, dtype) in layout.arrays().items():
        rows = [wanted[e][key][i].astype(dtype) for e, i in zip(epoch, index)]  # noqa: B905
        np.testing.assert_array_equal(found[key], np.stack(rows))
        assert found[key].dtype == dtype
        plain = np.load(tmp_path / "00001" / f"{key}.npy", mmap_mode="r")
        np.testing.assert_array_equal(plain, wanted[1][key].astype(dtype))


def test_an_epoch_that_was_not_finished_leaves_nothing(tmp_path):
    layout = LAYOUTS["all"]

    def broken(rows):
        assert (tmp_path / "00000.part" / "logits.npy").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_epoch(tmp_path, 0, layout, blocks(epoch_of(layout)), broken)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="4 rows came; expected 10"):
        few = [next(blocks(epoch_of(layout)))]
        write_epoch(tmp_path, 0, layout, few)
    assert missing(tmp_path, 2) == [0, 1]


def test_what_a_killed_process_left_is_written_over(tmp_path):
    layout = LAYOUTS["all"]
    (tmp_path / "00000.part").mkdir()
    (tmp_path / "00000.part" / "logits.npy").write_bytes(b"half")
    (tmp_path / "00000.part" / "other").write_bytes(b"half")
    assert missing(tmp_path, 1) == [0]
    write_epoch(tmp_path, 0, layout, blocks(epoch_of(layout)))
    names = sorted(path.name for path in (tmp_path / "00000").iterdir())
    assert names == [CHECKSUMS, "logits.npy"] and missing(tmp_path, 1) == []
    reader(tmp_path, layout).check(0)


def test_half_of_a_copied_epoch_is_written_over(tmp_path):
    """Without its checksums, which come last, it counts as missing."""
    layout, (wanted, old) = LAYOUTS["all"], map(epoch_of, [LAYOUTS["all"]] * 2, (0, 1))
    (tmp_path / "00000").mkdir()
    (tmp_path / "00000" / "logits.npy").write_bytes(b"half")
    assert missing(tmp_path, 1) == [0]
    write_epoch(tmp_path, 0, layout, blocks(wanted))
    assert missing(tmp_path, 1) == []
    with pytest.raises(StorageError, match="could not write epoch 0"):
        write_epoch(tmp_path, 0, layout, blocks(old))  # a whole one stays
    stored = np.load(tmp_path / "00000" / "logits.npy")
    np.testing.assert_array_equal(stored, wanted["logits"].astype(stored.dtype))


def test_a_disk_that_does_not_take_it(tmp_path):
    with pytest.raises(StorageError, match="could not write epoch 0 of .*No such file"):
        write_epoch(tmp_path / "gone", 0, LAYOUTS["all"], [])


@pytest.mark.errors
@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    (
        (
            70000.0,
            "float16",
            r"epoch 3, sample 21: logits\[4\] of the teacher is 70000"
            r", and float16 ends at 65504; expected --dtype=float32",
        ),
        (-70000.0, "float16", r"is -70000, and float16 ends at"),
        (np.nan, "float16", r"logits\[4\] of the teacher is nan; expected finite"),
        (-np.inf, "float32", r"logits\[4\] of the teacher is -inf"),
    ),
)
def test_numbers_that_cannot_be_stored_are_named(value, dtype, message):
    rows = np.ones((3, 6), np.float32)
    rows[1, 4] = value
    with pytest.raises(InputError, match=message):
        rounded("logits", rows, np.dtype(dtype), 3, 20)
    if np.isfinite(value):
        assert rounded("logits", rows, np.dtype(np.float32), 3, 20)[1, 4] == value


@pytest.mark.parametrize("kind", ("byte", "short", "gone", "no sums", "other shape"))
def test_damage_is_noticed_before_a_row_is_given(kind, tmp_path):
    layout = LAYOUTS["all"]
    write_epoch(tmp_path, 0, layout, blocks(epoch_of(layout)))
    path = tmp_path / "00000" / "logits.npy"
    if kind == "byte":
        data = bytearray(path.read_bytes())
        data[-7] ^= 1
        path.write_bytes(data)
    elif kind == "short":
        path.write_bytes(path.read_bytes()[:-2])
    elif kind == "gone":
        path.unlink()
    elif kind == "no sums":
        (tmp_path / "00000" / CHECKSUMS).unlink()
    else:
        np.save(path, np.zeros((9, 6), np.float16))
        fix_checksum(tmp_path / "00000", "logits.npy")
    zero = np.zeros(1, np.int32)
    with pytest.raises(
        StorageError, match="00000 cannot be used .* Delete that direct"
    ):
        reader(tmp_path, layout).rows(zero, zero)


def fix_checksum(epoch, name):
    sums = json.loads((epoch / CHECKSUMS).read_text())
    sums[name] = hashlib.sha256((epoch / name).read_bytes()).hexdigest()
    (epoch / CHECKSUMS).write_text(json.dumps(sums))


def test_an_epoch_beyond_the_cache(tmp_path):
    layout = LAYOUTS["all"]
    write_epoch(tmp_path, 0, layout, blocks(epoch_of(layout)))
    index = np.zeros(2, np.int32)
    with pytest.raises(StorageError, match="00001 cannot be used"):
        reader(tmp_path, layout).rows(index, np.array([0, 1], np.int32))


def origin(**changes):
    given = {
        "teacher": "abc",
        "data": {"name": "set", "sha256": "1", "num_examples": 10},
        "preprocessing": {"version": 1, "mean": (0.5,), "flip": True},
        "seed": 0,
        "classes": 6,
    }
    return manifest.origin(**given | changes)


def test_what_two_caches_differ_in_is_named():
    stored = origin() | LAYOUTS["all"].as_json()
    assert manifest.differences(stored, origin()) == []
    other = origin(seed=3, preprocessing={"version": 2, "mean": (0.5,), "flip": True})
    assert manifest.differences(stored, other) == [
        "preprocessing.version is 1 there and 2 here",
        "seed is 0 there and 3 here",
    ]
    kept = origin(data=origin()["data"] | {"keep_sha256": "k"})
    assert manifest.differences(stored, kept) == [
        "data.keep_sha256 is None there and 'k' here"
    ]


def test_noise_in_the_labels_does_not_change_the_outputs():
    noisy = origin()["data"] | {"noise": {"name": "symmetric", "rate": 0.4}}
    assert origin(data=noisy) == origin()


def test_the_digest_is_of_the_outputs_and_not_of_their_number(tmp_path):
    record = origin() | LAYOUTS["all"].as_json() | {"epochs": 3, "made_by": {}}
    digest = manifest.digest(record)
    assert manifest.digest(record | {"epochs": 9, "made_by": {"who": 1}}) == digest
    for change in ({"seed": 1}, {"top_k": 2}, {"dtype": "float32"}, {"teacher": "x"}):
        assert manifest.digest(record | change) != digest
    manifest.write(tmp_path, record)
    assert manifest.digest(manifest.read(tmp_path, "here")) == digest


@pytest.mark.errors
def test_a_manifest_that_is_not_one(tmp_path):
    assert manifest.read(tmp_path, "here") is None
    (tmp_path / manifest.MANIFEST).write_text("{")
    with pytest.raises(InputError, match="^here: .*manifest of a cache is damaged"):
        manifest.read(tmp_path, "here")
    (tmp_path / manifest.MANIFEST).write_text('{"format": 0}')
    with pytest.raises(InputError, match="not the manifest of a cache of format 1"):
        manifest.read(tmp_path, "here")
