"""How faults are planted, and how findings are looked at."""

import hashlib
import json
import re
import shutil

import jax
import numpy as np

from kdjax import checkpoints
from kdjax.doctor.examine import examine
from kdjax.doctor.findings import PROBLEM
from kdjax.paths.json_files import CHECKSUM, parse_json, sealed
from kdjax.weights import imported, safetensors


def texts(findings, level):
    return [f"{f.where}: {f.text} -> {f.advice}" for f in findings if f.level == level]


def look(path, quick=False):
    return examine([path], quick)[0].findings


def problems(path, quick=False):
    return texts(look(path, quick), PROBLEM)


def content(root):
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and digest(path))
        for path in root.rglob("*")
    }


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit(path, change):
    """Changes a JSON file by a function of what is in it."""
    record = parse_json(path.read_bytes())
    is_sealed = CHECKSUM in json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(sealed(record) if is_sealed else record))


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path, position=None):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 1
    path.write_bytes(bytes(content))


def largest(directory):
    files = [path for path in directory.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def edit_rows(root, change):
    path = root / "student" / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def set_top1(value):
    def change(rows):
        rows[-1]["eval/kd/top1"] = value
        return rows

    return change


def skip_steps(rows):
    rows[0]["train/kd/skipped"] = 1.0
    return rows


def other_teacher(root):
    steps = root / "teacher" / "checkpoints"
    shutil.rmtree(steps / "4")
    shutil.copytree(steps / "2", steps / "4")


def lose_teacher(root):
    shutil.rmtree(root / "teacher")
    (root / "student" / "summary.json").unlink()


def change_pixel(root):
    edit_arrays(
        root,
        train_image=lambda image: (
            image ^ (np.arange(128) == 5)[:, None, None, None].astype(np.uint8)
        ),
    )


def edit_arrays(root, **change):
    path = root / "set.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays |= {key: function(arrays[key]) for key, function in change.items()}
    np.savez_compressed(path, **arrays)


def import_bad(root, leaf, value):
    """A checkpoint whose checksums are right and whose numbers no network has."""
    directory = root / "imported" / "checkpoints"
    meta, _ = checkpoints.read_meta(directory)
    variables = checkpoints.read_variables(directory, 0, "resnet8")

    def spoil(path, array):
        array = np.array(array)
        if leaf in str(path[-1]):
            array[...] = value
        return array

    variables = jax.tree.map_with_path(spoil, variables)
    shutil.rmtree(directory)
    meta = {k: v for k, v in meta.items() if k not in ("step", "checksums")}
    imported.save(directory, "resnet8", variables, meta)


def edit_weights(root, name, value):
    path = root / "weights.safetensors"
    tensors = safetensors.read(path)
    tensors = {n: np.array(x) for n, x in tensors.items()}
    tensors[name].flat[0] = value
    safetensors.write(path, tensors, {})


def shard(root):
    return next((root / "sets" / "mine" / "1.0.0").glob("*train.array_record*"))


def foreign_class(root):
    path = root / "sets" / "mine" / "1.0.0" / "features.json"
    edit(path, lambda record: record.update(pythonClassName="os.path.Join"))


def one_class(root):
    """The set says that it has a class less than its labels."""
    directory = root / "sets" / "mine" / "1.0.0"
    text = (directory / "features.json").read_text()
    (directory / "features.json").write_text(text.replace('"2"', '"1"'))
    (directory / "label.labels.txt").write_text("cat\n")


def other_selection(root):
    path = root / "selection" / "selection.json"
    edit(path, lambda record: record.update(kept=3))


def check_fault(root, plant, path, sentence):
    """Plants a fault; it has its own sentence, and every line says what to do."""
    plant(root)
    lines = problems(root / path)
    assert any(re.search(sentence, line, re.DOTALL) for line in lines), lines
    assert all(line.rpartition("-> ")[2] for line in lines)
