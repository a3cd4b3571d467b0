"""The commands at the head of a launcher are of trainings that begin."""

import re
import shlex

import pytest

from tests.launch.standins import LAUNCH
from tests.test_shown_commands import shell as clone

__all__ = ["clone"]  # a fixture
BEFORE = (  # as launch/README.md says
    ("prepare", "cifar100", "--data_dir=runs/data"),
    (
        "train",
        "--config=configs/cifar100/teacher.py",
        "--workdir=runs/wrn_28_4",
        "--data_dir=runs/data",
    ),
)
NAMES = ("slurm.sh", "tpu_vm.sh", "xpk.sh", "Containerfile.gpu", "Containerfile.tpu")


def commands(name):
    """What kdjax is given by each command that names a config of the repository."""
    lines = (LAUNCH / name).read_text().splitlines()
    head = "\n".join(line for line in lines if line.startswith("#"))
    head = re.sub(r"\\\n#", "", head).replace("/mnt/runs", "/runs")
    shown = [line for line in head.splitlines() if "--config=configs/" in line]
    words = [shlex.split(line.replace("=/runs", "=runs")) for line in shown]
    return [[word for word in own if "=" in word and word[:2] == "--"] for own in words]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_head_shows_can_be_typed(name, clone):
    clone.type_all(BEFORE)
    (words,) = commands(name)
    clone.type(["train", *words])
    assert len(clone.runs) == 2
