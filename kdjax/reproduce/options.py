"""What may be typed after `python -m kdjax.reproduce`."""

import argparse
import pathlib

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.reproduce.plans import FLOAT32, STUDIES, Settings
from kdjax.runner import time_slice


def parser() -> argparse.ArgumentParser:
    """Of all options."""
    made = argparse.ArgumentParser("python -m kdjax.reproduce", allow_abbrev=False)
    made.add_argument("study", choices=STUDIES)
    path = {"type": pathlib.Path, "metavar": "PATH"}
    for name, text in (
        ("--data", "a file that `python -m kdjax prepare --npz` wrote"),
        ("--data_dir", "TFDS data; default $TFDS_DATA_DIR"),
        ("--runs", "where the runs live; default runs/STUDY"),
        ("--results", "default configs/cifar100/results"),
    ):
        made.add_argument(name, **path, help=text)
    made.add_argument(
        "--seeds", default="0", help="of the students, as 0,1,2; the teacher's is 0"
    )
    made.add_argument(
        "--once", action="store_true", help="a piece of --minutes; 42: there is more"
    )
    time_slice.add_minutes(made, default=8.0)
    made.add_argument("--dtype", default=FLOAT32, choices=(FLOAT32, "bfloat16"))
    made.add_argument(
        "--total_steps",
        type=int,
        default=0,
        metavar="N",
        help="a rehearsal of N steps a run; its results stay in --runs",
    )
    made.add_argument("--devices", type=int, help="virtual devices, on CPU only")
    made.add_argument(
        "--report", action="store_true", help="train nothing; write RESULTS.md anew"
    )
    return made


def settings(options: argparse.Namespace) -> Settings:
    """What was chosen of data, seeds, type and length.

    Raises:
      InputError: options that contradict each other, or seeds that are none.
    """
    words = [word.strip() for word in options.seeds.split(",")]
    if not all(word.isdigit() for word in words):
        raise InputError(f"--seeds is {options.seeds!r}; expected such as 0,1,2.")
    if options.data and options.data_dir:
        raise InputError("--data and --data_dir are both given; expected one of them.")
    if options.total_steps and options.results:
        raise InputError(
            "--total_steps makes a rehearsal, whose results stay with its runs; "
            "expected no --results."
        )
    chosen = {
        "seeds": tuple(dict.fromkeys(map(int, words))),
        "dtype": options.dtype,
        "total_steps": options.total_steps,
    }
    if options.data:
        file = paths.local(options.data, "--data").resolve()
        return Settings(data=file.name, data_dir=str(file.parent), **chosen)
    data_dir = options.data_dir
    return Settings(
        data_dir=str(paths.local(data_dir, "--data_dir").resolve()) if data_dir else "",
        **chosen,
    )
