"""Single bits of all files that are read: each flip is an error, or changes nothing.

`make test` makes a spread of them, `make test-long` 5,000 (`pytest -s` shows counts).
"""

import json
import pathlib
import zlib

import numpy as np
import pytest

from kdjax.caching import manifest
from kdjax.caching.layout import Layout
from kdjax.caching.reader import Reader
from kdjax.caching.writer import write_epoch
from kdjax.checkpoints import storage
from kdjax.data.load import load_split
from kdjax.data.npz import load_npz, save_npz
from kdjax.data.split import in_memory
from kdjax.data.tfds import labels
from kdjax.datasets import tfrecord
from kdjax.datasets.crc32c import masked
from kdjax.distributed import collectives
from kdjax.experiment.data import load_keep
from kdjax.paths.json_files import sealed
from kdjax.reporting.files import replace_json, replace_npz, replace_record
from kdjax.reporting.reporter import read_rows
from kdjax.reporting.results import read_summary
from kdjax.reproduce import tables
from kdjax.runner import sample_weights, workdir
from kdjax.runner.select import read_selection
from kdjax.sweeps import directory
from tests.data.jpegs import encode, picture, prepare_jpegs
from tests.faults.damage import Kind, dumped, flips
from tests.reproduce import stored

RNG = np.random.default_rng(0)
STUDENT = {"model": {"name": "tiny"}, "method": {"name": "ce"}, "networks": 1}
DATA = {"classes": 3, "normalisation": {"mean": [0.5], "std": [0.25]}}
IDENTITY = {"students": {"ce": STUDENT}, "data": DATA, "teacher": None}
SCORES = {"ce": {"top1": 71.25, "loss": 0.875}}
SUMMARY = {
    "seconds": 12.5,
    "students": {"ce": {"model": "tiny", "method": "ce", "metrics": SCORES["ce"]}},
    "identity": IDENTITY,
}
SELECTION = {"samples": 3, "kept": 2, "data": {"train": {"name": "x"}}}
LAYOUT = Layout(examples=6, classes=3, members=0, dtype="float16", top_k=0, features={})
MANIFEST = {"format": 1, "teacher": "t", "data": {"n": 6}, "preprocessing": {}}
MANIFEST |= {"seed": 0, "epochs": 1, **LAYOUT.as_json()}
TEACHER = {"digest": "t", "wrong_labels": {"images": 9, "percent": 1.5}}
RECORD = stored.record("s", "r", 1, {"ce": 1.5}, teacher=TEACHER)


def npz(root):
    splits = {}
    for name in ("train", "test"):
        image = RNG.integers(0, 256, (3, 4, 4, 1), np.uint8)
        splits[name] = in_memory(image, np.arange(3, dtype=np.int32), ("a", "b", "c"))
    save_npz(root / "set.npz", splits)
    both = ("train", "test")
    return Kind(
        [root / "set.npz"], lambda: [load_npz(root / "set.npz", s) for s in both]
    )


def selection(root):
    arrays = {"keep": np.arange(9) % 2 > 0, "labels": np.arange(9)}
    replace_npz(root / "selection.npz", **arrays)
    return Kind([root / "selection.npz"], lambda: load_keep(str(root), "--keep"))


def sample_info(root):
    replace_npz(root / "4.npz", selection=np.float32([0, 1, 1]))
    return Kind([root / "4.npz"], lambda: sample_weights._read(root / "4.npz"))


def of_json(name, record, read, write=replace_record):
    def make(root):
        write(root / name, record)
        return Kind([root / name], lambda: read(root / name))

    return make


def config(root):
    """Without a checksum: what a command gives is compared with it."""
    record = {"seed": 1, "data": {"name": "x", "data_dir": "y"}, "order": ["a"]}
    replace_json(root / workdir.CONFIG, record)
    return Kind([root / workdir.CONFIG], lambda: workdir.read_config(root), False)


def meta(root):
    path = root / "2" / storage.META
    path.parent.mkdir(parents=True)
    path.write_bytes(dumped(sealed(IDENTITY | {"step": 2, "metrics": SCORES})))

    def read():
        with storage.reading(root, 2):
            return storage.read_meta(root, 2)

    return Kind([path], read)


def scores(root):
    """Written anew from the identity, whatever became of them."""
    meta(root)
    path = root / "2" / storage.METRICS
    path.parent.mkdir()
    path.write_bytes(dumped(SCORES))

    def read():
        storage.mend_metrics(root)
        return json.loads(path.read_bytes())

    return Kind([path], read)


def rows(root):
    """Without checksums: a digit that is another one is not noticed."""
    path = root / "metrics.jsonl"
    lines = [{"step": n, "epoch": n / 2, "seconds": 1.5, "x": 2.0} for n in (2, 4)]
    path.write_bytes(b"".join(dumped(line) + b"\n" for line in lines))
    return Kind([path], lambda: read_rows(path), False)


def cache(root):
    manifest.write(root, MANIFEST)
    block = {"logits": RNG.normal(size=(6, 3)).astype(np.float32)}
    write_epoch(root, 0, LAYOUT, [block])

    def read():
        record = manifest.read(root, "--cache")
        index = np.arange(6)
        return Reader(root, record).rows(index, np.zeros(6, int))

    return Kind(sorted(p for p in root.rglob("*") if p.is_file()), read)


def tfrecords(root):
    path, content = root / "set.tfrecord-00000-of-00001", b""
    for record in (b"first record", b"x" * 300):
        length = len(record).to_bytes(8, "little")
        sums = [masked(part).to_bytes(4, "little") for part in (length, record)]
        content += length + sums[0] + record + sums[1]
    path.write_bytes(content)

    def read():
        for number, (record, checksum) in enumerate(tfrecord._records(path, 2)):
            if masked(record) != checksum:
                raise tfrecord.DataError(
                    f"{path}, record {number}: its checksum differs"
                )
        return list(tfrecord._records(path, 2))

    return Kind([path], read)


def array_records(root):
    path = root / "set.array_record-00000-of-00001"
    from kdjax.datasets.sharded_writer import Writer

    Writer("array_record").write(path, enumerate([b"first" * 9, b"x" * 300]))

    def read():
        from array_record.python import array_record_module

        try:
            reader = array_record_module.ArrayRecordReader(str(path))
            try:
                return list(reader.read([0, 1]))
            finally:
                reader.close()
        except Exception as error:  # as `kdjax.data.tfds.records` does
            text = " ".join(str(error).split())
            raise tfrecord.DataError(f"{path}: {text[:200]}") from error

    return Kind([path], read)


def prepared(root):
    """What TFDS writes beside the records has no checksum: a class may be renamed."""
    rows = [(encode(picture(8, 8, i)), i % 5) for i in range(6)]
    prepare_jpegs(root, {"train": rows})
    where = root / "jpeg_set" / "1.0.0"

    def read():
        split = load_split("jpeg_set", "train", data_dir=root)
        return [split.image, split.label, split.class_names]

    return Kind(sorted(p for p in where.iterdir() if p.is_file()), read, False)


def kept_labels(root):
    """Of a set that is streamed: read anew from the records where they are damaged."""
    path, wanted = root / "kdjax-labels-0.npy", np.arange(40, dtype=np.int32)
    labels._save(path, wanted)

    def read():
        found = labels._load(path, 40)
        return wanted if found is None else found

    return Kind([path], read)


def safetensors(root):
    from kdjax.weights import safetensors

    path = root / "w.safetensors"
    tensors = {"a.weight": RNG.normal(size=(3, 4)).astype(np.float32)}
    safetensors.write(path, tensors, {"format": "np", "kdjax": '{"layout": "kdjax"}'})
    return Kind([path], lambda: safetensors.read(path))


def pth(root, **how):
    torch = pytest.importorskip("torch")
    from kdjax.weights import torch_files

    path = root / "w.pth"
    torch.save({"a.weight": torch.arange(12.0).reshape(3, 4)}, path, **how)
    return Kind([path], lambda: torch_files.read(path), not how)


def old_pth(root):
    """The first versions of PyTorch wrote no checksums."""
    return pth(root, _use_new_zipfile_serialization=False)


def foreign_safetensors(root):
    """The format has no checksum: a weight that is another one is not noticed."""
    from safetensors.numpy import save_file

    from kdjax.weights import safetensors

    path = root / "w.safetensors"
    save_file({"a.weight": RNG.normal(size=(3, 4)).astype(np.float32)}, path)
    return Kind([path], lambda: safetensors.read(path), False)


KINDS = {
    "npz": npz,
    "selection.npz": selection,
    "sample_info": sample_info,
    "summary.json": of_json("summary.json", SUMMARY, read_summary),
    "selection.json": of_json(
        "selection.json", SELECTION, lambda p: read_selection(p.parent)
    ),
    "program.json": of_json("program.json", {"rows": ["a", "b"]}, directory._members),
    "record.json": of_json("r.json", RECORD, lambda p: tables.read("s", p.parent)),
    "config.json": config,
    "meta": meta,
    "scores": scores,
    "metrics.jsonl": rows,
    "cache": cache,
    "tfrecord": tfrecords,
    "array_record": array_records,
    "prepared set": prepared,
    "labels": kept_labels,
    "safetensors": safetensors,
    "safetensors of others": foreign_safetensors,
    "pth": pth,
    "pth of before": old_pth,
}
TOTAL, SPREAD = 5_000, 50  # of all kinds; of each


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(collectives, "log", lines.append)
    return lines


@pytest.mark.errors
@pytest.mark.parametrize("name", KINDS)
def test_a_spread_of_flips(name, tmp_path, said):
    counts = flips(KINDS[name](tmp_path), SPREAD, zlib.crc32(name.encode()), said)
    assert sum(counts.values()) == SPREAD


@pytest.mark.errors
@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_all_flips(name, tmp_path, said):
    count = -(-TOTAL // len(KINDS))
    print(
        name, flips(KINDS[name](tmp_path), count, 1 + zlib.crc32(name.encode()), said)
    )


def test_a_flip_without_a_checksum_is_noticed_here(tmp_path, said):
    """The harness itself: a reader that believes everything fails it."""
    path: pathlib.Path = tmp_path / "numbers"
    path.write_bytes(b"a" * 100)
    with pytest.raises(AssertionError):
        flips(Kind([path], path.read_bytes), 1, 0, said)
