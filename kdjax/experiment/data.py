"""Images, labels and augmentation from a config's `data` section."""

import dataclasses
import functools
import hashlib

import numpy as np

from kdjax import paths
from kdjax.contracts import InputError
from kdjax.data.images.crops import Geometry
from kdjax.data.load import Split, load_split, size_on_disk
from kdjax.data.loaders.loader import is_streamed
from kdjax.data.npz import Arrays, is_npz
from kdjax.data.registry import AUGMENTS, DATASETS, STREAMED, measured_augment
from kdjax.data.tfds.names import parse_name
from kdjax.data.transforms.augment import Augment
from kdjax.experiment import builders, fields, schema
from kdjax.paths.files import is_refused, text_of

KEEP = "selection.npz"  # what `select` writes
# Of PNG or JPEG on disk, which decoded is two to ten times as much on every device.
RESIDENT_BELOW = 4 << 30
_RESIDENT_SIZES = (
    "config.data.crops.sizes is set and {}: resident images are of one size. Expected "
    "config.data.feed=streamed and a set of image files, or no sizes."
)


@dataclasses.dataclass(frozen=True)
class Data:
    """What a run trains and is tested on."""

    train: Split  # with the labels that are trained on
    true_labels: np.ndarray  # of the training split, before noise
    test: Split
    augment: Augment
    is_described: bool = False  # shapes alone, from `describe_data`

    @property
    def identity(self) -> dict:
        """What every checkpoint says of the run's data, as JSON."""
        augment, train = self.augment, self.train
        # The names of described classes are not known, only how many there are.
        names = None if self.is_described else list(train.class_names)
        return {
            "train": train.identity,
            "test": self.test.identity,
            "classes": len(train.class_names),
            "class_names": names,
            "image_shape": list(train.image.shape[1:]),
            "normalisation": {"mean": list(augment.mean), "std": list(augment.std)},
        }

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of training crops that change their size; () where they do not."""
        if not is_streamed(self.train):
            return ()
        return tuple(side for _, side in self.train.image.geometry.sizes)


def load_data(section: dict) -> Data:
    """Loads both splits, makes labels noisy and drops samples as the section says."""
    options = {key: section[key] for key in ("skip_at_most", "threads")}
    options["data_dir"] = section["data_dir"] or None
    crops = _crops(section)
    one_size = crops and dataclasses.replace(crops, sizes=())  # of evaluation
    load = functools.partial(load_split, section["name"], **options)
    train = load(section["train"], crops=crops)
    test = load(section["test"], crops=one_size)
    if train.image.shape[1:] != test.image.shape[1:]:
        raise InputError(
            f"config.data: {section['train']} has images of {train.image.shape[1:]} "
            f"and {section['test']} of {test.image.shape[1:]}; expected the same shape."
        )
    augment = augment_of(section, train)
    true_labels = train.label
    train = _with_noise(train, section["noise"])
    if section["keep"]:
        keep = read_keep(section["keep"], "config.data.keep", train)
        if not keep.any():
            raise InputError(f"config.data.keep: {section['keep']} keeps no sample.")
        facts = {"kept": int(keep.sum()), "keep_sha256": keep_digest(keep)}
        images, labels, identity = train.image[keep], train.label[keep], train.identity
        train = train._replace(image=images, label=labels, identity=identity | facts)
        true_labels = true_labels[keep]
    return Data(train, true_labels, test, augment)


def check_feed(section: dict) -> Geometry:
    """The crops of a streamed set, of a section whose keys are checked first."""
    path, feed, crops = "config.data.crops", section["feed"], section["crops"]
    fields.check_section("config.data", schema.Data, section)
    geometry = builders.guarded(path, Geometry, **crops)
    if geometry.sizes and feed == "resident":
        raise InputError(_RESIDENT_SIZES.format("config.data.feed is 'resident'"))
    return geometry


def _crops(section: dict) -> Geometry | None:
    """Of a set whose images stay on disk; None where it is read into memory."""
    geometry, feed = check_feed(section), section["feed"]
    if feed == "auto":
        is_large = streams_by_itself(section["name"], section["data_dir"])
        feed = "streamed" if is_large else "resident"
        if geometry.sizes and feed == "resident":
            raise InputError(_RESIDENT_SIZES.format(f"{section['name']} is resident"))
    return geometry if feed == "streamed" else None


def streams_by_itself(name: str, data_dir: str | None) -> bool:
    """What `feed=auto` is for a set: too large to be kept, or recorded as streamed."""
    record = _recorded(name, data_dir)
    if record is not None and record.streamed:
        return True
    return size_on_disk(name, data_dir or None) >= RESIDENT_BELOW


def prepared_source(section: dict) -> dict | None:
    """Of which version and files a set of one's own is now; None of other sets."""
    return (facts := _recorded(section["name"], section["data_dir"])) and facts.source


def _recorded(name: str, data_dir: str | None):
    """What `prepare --folder` wrote beside a set of one's own; None of other sets."""
    if is_npz(name) or dataset_of(name) in DATASETS:
        return None
    from kdjax.data.recorded import recorded  # brings TFDS

    return recorded(name, data_dir)


def _with_noise(train: Split, section: dict) -> Split:
    """The same images under other labels; the noise becomes part of the identity."""
    if section.get("name") == "none":
        return train
    from kdjax.data.noise import NOISES, describe

    classes = len(train.class_names)
    noisy = builders.call_named(
        "config.data.noise", NOISES, section, labels=train.label, num_classes=classes
    )
    rest = {key: value for key, value in section.items() if key != "name"}
    facts = describe(train.label, noisy, classes, name=section["name"], **rest)
    return train._replace(label=noisy, identity=train.identity | {"noise": facts})


def load_keep(path: str, what: str) -> tuple[np.ndarray, np.ndarray]:
    """What a selection keeps, bool [n], and the labels that it was made for."""
    file = paths.parse(path, what)
    file = file / KEEP if file.is_dir() else file
    if not file.is_file():
        raise InputError(
            f"{what} is {path!r}, and there is no such file; expected a {KEEP} that "
            f"`python -m kdjax select` wrote, or its directory.{paths.nearest(file)}"
        )
    try:
        with file.open("rb") as opened, Arrays(opened) as saved:
            return saved["keep"].astype(bool, casting="no"), saved["labels"]
    except Exception as error:  # NumPy and zipfile raise six kinds for other files
        if is_refused(error) and not isinstance(error, MemoryError):
            raise
        raise InputError(
            f"{what}: {file} is not what `python -m kdjax select` wrote: "
            f"{text_of(error)}."
        ) from error


def keep_digest(keep: np.ndarray) -> str:
    """SHA-256 of which samples are kept."""
    return hashlib.sha256(np.packbits(keep).tobytes()).hexdigest()


def read_keep(path: str, what: str, train: Split) -> np.ndarray:
    """The `keep` of a selection that was made of this very split, bool [n]."""
    keep, labels = load_keep(path, what)
    if keep.shape != train.label.shape:
        raise InputError(
            f"{what}: keep in {path} is of shape {keep.shape}; expected "
            f"{train.label.shape}, one for each training sample."
        )
    if not np.array_equal(labels, train.label):
        raise InputError(
            f"{what}: {path} was made for other labels than this run's; expected the "
            "same data and the same noise."
        )
    return keep


def augment_of(data: dict, train: Split) -> Augment:
    """What the config sets, else what is usual for the set; moments may be measured."""
    name, streamed = data["name"], is_streamed(train)
    table = STREAMED if streamed else AUGMENTS
    usual = table.get(dataset_of(name))
    if usual is None and (record := _recorded(name, data["data_dir"])) is not None:
        usual = record.augment
    if bool(data["mean"]) != bool(data["std"]):
        raise InputError("config.data: expected mean and std both set, or neither.")
    values = {key: data[key] for key in ("mixup", "cutmix")}
    if streamed:
        data = data | {"padding": data["padding"] or 0}
        _check_streamed(data, usual)
    for key in ("padding", "flip"):
        values[key] = data[key] if data[key] is not None else getattr(usual, key, None)
        if values[key] is None:
            raise InputError(
                f"config.data.{key} is not set, and nothing is known of the set "
                f"{name!r}; expected a value."
            )
    mean, std, channels = data["mean"], data["std"], train.image.shape[-1]
    for key in ("mean", "std"):
        if mean and len(data[key]) != channels:
            raise InputError(
                f"config.data.{key} is {data[key]!r}; expected {channels} number(s), "
                "one for each channel of the images."
            )
    if not mean:
        usual = usual or builders.guarded(
            "config.data", measured_augment, train.image, padding=0, flip=False
        )
        mean, std = usual.mean, usual.std
    moments = {"mean": tuple(map(float, mean)), "std": tuple(map(float, std))}
    return builders.guarded("config.data", Augment, **moments, **values)


def dataset_of(name: str) -> str:
    """The TFDS data set that a name is of; "" for an .npz file."""
    return "" if is_npz(name) else parse_name(name).dataset


def _check_streamed(data: dict, usual: Augment | None) -> None:
    if data["padding"]:
        raise InputError(
            f"config.data.padding is {data['padding']!r}, and streamed images come as "
            "random resized crops; expected 0."
        )
    if not data["mean"] and usual is None:
        raise InputError(
            f"config.data.mean and std are not set, and those of {data['name']!r} are "
            "not known; a streamed set is not measured. Expected both."
        )
