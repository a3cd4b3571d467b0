"""Names of classes and files that a prepared set cannot hold are refused, all at once.

TFDS keeps class names in a file of one name a line and strips every line.
"""

import os

import pytest

from kdjax.__main__ import main
from kdjax.data.load import load_split
from tests.datasets.miniature_imagenet import tiny

KEPT = (
    "cat",
    "dog",
    "a b",
    "Größe",
    "名",
    "a\tb",
    "e\u0301",
    "\xe9",
    "#",
    "a,b",
)
REFUSED = {
    **{"blank at the end": b"g ", "blank before": b" g", "only blanks": b"  "},
    **{"line break": b"do\ng", "carriage return": b"do\rg", "at the end": b"dog\n"},
    **{"tab at the end": b"g\t", "form feed": b"d\x0cg", "separator": b"d\x1eg"},
    "line separator": "do\u2028g".encode(),
    "paragraph separator": "do\u2029g".encode(),
    "next line": "do\x85g".encode(),
    "wide blank": "g\u3000".encode(),
    "byte order mark": "\ufeffdog".encode(),
    "Latin-1": "café".encode("latin-1"),
    "GBK": "猫狗".encode("gbk"),
}


IMAGE = tiny(1)


def write(root, *classes, split="train", file=b"0.jpg"):
    for name in classes:
        folder = os.path.join(os.fsencode(root), split.encode(), name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, file), "wb") as opened:
            opened.write(IMAGE)


def refusal(root, capsys):
    """The report with which `prepare` refuses a folder; it leaves nothing."""
    data = root.parent / "data"
    assert main(["prepare", "mine", f"--folder={root}", f"--data_dir={data}"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    first = next(i for i, x in enumerate(lines) if x.startswith("kdjax prepare: "))
    assert not (data / "mine").exists()
    assert all(line.isprintable() for line in lines)
    return "\n".join(lines[first:])


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_a_name_that_a_line_cannot_hold(tmp_path, capsys, name):
    write(tmp_path / "in", b"cat", b"g", name)
    message = refusal(tmp_path / "in", capsys)
    assert "1 names cannot be kept:" in message and "rename them" in message


def test_all_of_them_are_reported_at_once(tmp_path, capsys):
    write(tmp_path / "in", b"g", *REFUSED.values())
    write(tmp_path / "in", b"g ", split="val")
    write(tmp_path / "in", b"g", file="größe.jpg".encode("latin-1"))
    message = refusal(tmp_path / "in", capsys)
    count = len(REFUSED) + 2
    assert f"{count} names cannot be kept" in message and f"{count - 5} more" in message


def test_names_of_files_that_are_not_utf8(tmp_path, capsys):
    write(tmp_path / "in", b"dog", file="größe.jpg".encode("latin-1"))
    assert r"'train/dog/gr\xf6\xdfe.jpg'" in refusal(tmp_path / "in", capsys)


def test_a_folder_whose_own_name_is_not_utf8(tmp_path, capsys):
    root = tmp_path / os.fsdecode("bilder-größe".encode("latin-1"))
    write(root, b"cat", b"dog")
    words = ["prepare", "mine", f"--folder={root}", f"--data_dir={tmp_path / 'data'}"]
    assert main(words) == 0
    assert r"bilder-gr\udcf6\udcdfe" in capsys.readouterr().out


def test_names_that_a_line_holds_are_read_as_they_were_written(tmp_path):
    write(tmp_path / "in", *(name.encode() for name in KEPT))
    data = tmp_path / "data"
    words = ["prepare", "mine", f"--folder={tmp_path / 'in'}", f"--data_dir={data}"]
    assert main([*words, f"--npz={tmp_path / 'mine.npz'}"]) == 0
    wanted = tuple(sorted(KEPT))
    assert load_split("mine", "train", data_dir=data).class_names == wanted
    file = str(tmp_path / "mine.npz")
    assert load_split(file, "train").class_names == wanted
