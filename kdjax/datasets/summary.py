"""A folder's set in a few lines: what it is, and how it will be trained on."""

from kdjax.datasets.write import Prepared

_SPREAD = ("smallest", "median", "largest")


def summary(prepared: Prepared) -> list[str]:
    """Lines on a prepared set; [] where nothing is recorded of it."""
    facts = prepared.facts
    if facts is None:
        return []
    train = facts["splits"]["train"]
    least, median, most = (train["a_class"][key] for key in _SPREAD)
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    classes = f"{facts['classes']:,}, each with {each} training images"
    if least != most:
        classes += f" (median {median:,g}; fewest: {train['fewest']})"
    training, source = facts["training"], facts["source"]
    of = f"of {facts['measured']:,} training images, each weighted alike"
    rows = {"classes": classes}
    if share := source["validation"]:
        rows["split"] = f"{share:.0%} of each class to validation, by a hash of names"
        rows["split"] += f" and the seed {source['seed']}"
    rows["sizes"] = _sizes(facts)
    if turned := facts.get("turned"):  # sets of earlier versions do not say
        rows["exif"] = f"{turned:,} images turned upright (--exif=refuse takes none)"
    rows |= {"mean": _numbers(training["mean"]), "std": _numbers(training["std"])}
    rows["std"] += f"  ({of})"
    rows["training"] = _training(training)
    return [f"  {key:9} {text}" for key, text in rows.items()]


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _sizes(facts: dict) -> str:
    sides = facts["heights"], facts["widths"]
    if all(side["smallest"] == side["largest"] for side in sides):
        height, width = (side["smallest"] for side in sides)
        return f"all images have height {height} and width {width} pixels"
    high, wide = (
        f"{side['smallest']} to {side['largest']} (median {side['median']:g})"
        for side in sides
    )
    return f"heights {high}, widths {wide} pixels"


def _training(training: dict) -> str:
    """How images are cropped, and which key changes that."""
    if (crops := training.get("crops")) is None:
        crop = f"whole images, moved by up to {training['padding']} pixels"
    else:
        crop = (
            f"random crops of {crops['smallest_area']:.0%} to 100% of an image, "
            f"resized to {crops['size']} x {crops['size']}"
        )
    return (
        f"{crop}; mirrored at random (--config.data.flip=False where left and right "
        "matter, as in text)"
    )
