"""Facts of a folder's set, written beside it: what it is of, and how to train on it."""

import json
import pathlib
from collections import Counter

import numpy as np

from kdjax import paths
from kdjax.data.recorded import FILE, read_facts
from kdjax.data.split import DataError
from kdjax.data.tfds.names import parse_name
from kdjax.datasets.own_set import choose_training
from kdjax.datasets.write import Prepared
from kdjax.paths.json_files import sealed

_SMALL = 4  # times smaller than its crop, an image is blurred by enlarging


class ChangedError(DataError):
    """A set is there, of other files or options: `what` says which."""

    what = ""


def write(builder, *, source: dict, skip_at_most: int) -> None:
    """Writes the facts of a set whose images are read, or refuses it with a report."""
    folder, survey, problems = builder.folder, builder.survey, builder.folder.problems
    for path, reason in sorted(builder.skipped.errors.items()):
        problems.add("unreadable", f"{path} ({reason})")
    problems.allow("unreadable", skip_at_most)
    splits = _splits(builder, folder.class_names)
    for split, counts in splits.items():
        for name in counts.pop("without"):
            problems.add("missing", f"{split}: {name}")
    training = choose_training(survey.sizes, source["image_size"])
    side = training.get("crops", {}).get("size", 0)
    survey.report(problems, smallest=side // _SMALL)
    problems.check(str(folder.root))
    mean, std = survey.mean_and_std()
    facts = {
        "source": source,
        "classes": len(folder.class_names),
        "splits": splits,
        **_sides(survey.sizes),
        "turned": len(builder.turned),
        "measured": survey.measured,
        "training": {"mean": mean, "std": std} | training,
        "warnings": problems.lines(fatal=False),
    }
    _save(builder, facts)


def copy(source: str | pathlib.Path, side: int, builder) -> None:
    """Gives a set in another format the facts of its source, if it has any.

    Crops become those of images whose short side is `side` at most, sizes and counts
    those of what was written. Moments, and what EXIF turned, are of the originals.
    """
    facts = read_facts(paths.parse(source, "data.name"))
    if facts is None:
        return
    splits = _splits(builder, builder.info.features["label"].names)
    for counts in splits.values():
        del counts["without"]
    facts |= {"splits": splits} | _sides(builder.sizes)
    if crops := facts["training"].get("crops"):
        crops["short_side"] = min(crops["short_side"], side)
        crops["size"] = min(crops["size"], round(crops["short_side"] * 7 / 8))
    _save(builder, facts)


def check_same(prepared: Prepared, source: dict) -> None:
    """Raises ChangedError where a set is of other files, or of other options."""
    was = prepared.facts and prepared.facts["source"]
    if not was or was == source:
        return
    options = [
        f"--{key} was {was.get(key)} and is {source[key]}"
        for key in source
        if key != "listing" and was.get(key) != source[key]
    ]
    if was.get("listing") != source["listing"]:
        options.append("files, or their splits, are others")
    version = prepared.directory.name.split(".")
    version[-1] = str(int(version[-1]) + 1)
    dataset = parse_name(prepared.name).dataset
    what = "; ".join(options)
    error = ChangedError(
        f"{prepared.name} was prepared already, in {prepared.directory}, and {what}. "
        f"Prepare {dataset}:{'.'.join(version)}, another version, or delete that "
        "directory."
    )
    error.what = what
    raise error


def _save(builder, facts: dict) -> None:
    path = pathlib.Path(builder.data_dir) / FILE
    path.write_text(json.dumps(sealed(facts), indent=1))


def _splits(builder, class_names: list[str]) -> dict[str, dict]:
    """Of each split: its images, those of a class, and the classes without any."""
    rows = {}
    for split, labels in builder.labels.items():
        images = np.bincount(labels, minlength=len(class_names))
        rows[split] = {
            "images": int(images.sum()),
            "a_class": _spread(images),
            "fewest": class_names[int(images.argmin())],
            "without": [class_names[n] for n in np.flatnonzero(images == 0)],
        }
    return rows


def _sides(sizes: Counter[tuple[int, int]]) -> dict[str, dict]:
    heights, widths = np.array(list(sizes.elements())).T
    return {"heights": _spread(heights), "widths": _spread(widths)}


def _spread(values: np.ndarray) -> dict:
    ends = {"smallest": int(values.min()), "largest": int(values.max())}
    return ends | {"median": float(np.median(values))}
