"""Sections of a config whose keys are fixed: data, teacher, evaluation and others."""

from kdjax.experiment.fields import key, section

FEEDS = ("auto", "resident", "streamed")


@section
class Crops:
    size: int = key(224, "side in pixels of what a network sees", low=1)
    short_side: int = key(256, "of an image, before evaluation's central crop", low=1)
    smallest_area: float = key(0.08, "share of an image", low=0, high=1, above=True)
    sizes: tuple = key((), "(from epoch, side) of training crops that grow")


@section
class Data:
    name: str = key("", "of a TFDS data set, or an .npz file")
    data_dir: str = key("", "else $TFDS_DATA_DIR or ~/tensorflow_datasets", free=True)
    train: str = key("train", "split to train on, such as train[:90%]")
    test: str = key("test", "split to evaluate on")
    padding: int | None = key(None, "before a crop; None: as usual for it", low=0)
    flip: bool | None = key(None, "mirror at random; None: usual for the set")
    mean: tuple[float, ...] = key((), "of each channel, of pixels scaled to [0, 1]")
    std: tuple[float, ...] = key((), "of each channel", low=0, above=True)
    feed: str = key(
        "auto",
        "resident: on the devices. streamed: decoded from a TFDS set while it trains, "
        "with random resized crops. auto: streamed from 4 GiB on disk upwards, and a "
        "folder's set of photographs",
        choices=FEEDS,
    )
    crops: Crops = key(Crops, "of a streamed set", marks="partial")
    threads: int = key(0, "decoding in each process; 0: one a core", low=0, free=True)
    skip_at_most: int = key(100, "unreadable images of a host", low=0, free=True)
    mixup: float = key(
        0.0,
        "alpha of mixup; 0: none, 1: two images in any ratio. Teacher and students see "
        "the same mixtures; cross entropy is with both labels",
        low=0,
        high=100,
    )
    cutmix: float = key(
        0.0,
        "alpha of CutMix, a box of another image in each; 0: none, 1: boxes of any "
        "size. With mixup too each sample has one of the two, either as likely",
        low=0,
        high=100,
    )
    noise: dict = key({"name": "none"}, "of training labels", marks="builder")
    keep: str = key("", "selection.npz: trains on what it keeps alone", free=True)


@section
class Teacher:
    workdir: str = key("", "of its run; several with commas: an ensemble", free=True)
    student: str = key("", "which network of that run, where it trained several")
    checkpoint: str | int = key("latest", "latest, best or a step", low=0)
    network: str = key("", "instead of a run: package.module:function")
    cache: str = key("", "--workdir of `cache`: its outputs, written down", free=True)
    input_size: tuple[int, ...] = key((), "(height, width), if its own", low=1)
    resize: str = key("bilinear", "to input_size: bilinear, bicubic or lanczos3")
    classes: str = key("", "file of its classes, one a line, if it has others")


@section
class Initial:
    workdir: str = key("", "run whose weights training begins with", free=True)
    student: str = key("", "which network of that run, where it trained several")
    checkpoint: str | int = key("latest", "latest, best or a step", low=0)
    parts: str = key(
        "all",
        "weights: of the network; connectors: those of its method that this one has "
        "under the same names; all: both",
        choices=("all", "weights", "connectors"),
    )


@section
class Evaluation:
    every_epochs: float = key(1.0, "a checkpoint follows; 0: only at the end", low=0)
    every_steps: int = key(0, "instead of every_epochs, where above 0", low=0)
    batch_size: int = key(
        0,
        "over all devices; 0: 250 images on each accelerator, 500 in each process on "
        "CPUs",
        low=0,
        free=True,
    )
    on_train: bool = key(False, "also of the training split")
    keep_all: bool = key(
        False, "keep the checkpoint of each, not just two and the best", free=True
    )


@section
class Checkpoint:
    every_steps: int = key(
        0, "of the state, between evaluations; 0: not by steps", low=0, free=True
    )
    every_minutes: float = key(
        10.0,
        "the same by the clock of the first process, at the next row of metrics; 0: "
        "not by the clock",
        low=0,
        free=True,
    )


@section
class Guards:
    max_skipped_share: float = key(
        0.1,
        "of a student's steps may be skipped, as their loss, gradient, update or "
        "teacher is not finite; above it (and 10 steps, or half of a run of fewer than "
        "20) the run ends with code 3: it has not trained as its config says",
        low=0,
        high=1,
        free=True,
    )
    loss_spike: float = key(
        0.0,
        "skips a step whose loss is above so many times the running mean; 0: none, "
        "else above 1",
        low=0,
    )


@section
class Published:
    top1: float = key(0.0, "percent; 0: none", low=0, high=100, free=True)
    source: str = key("", "where it stands", free=True)
    method: str = key("", "the students of it, ...", free=True)
    model: str = key("", "... with this network, ...", free=True)
    teacher: str = key("", "... of a teacher with this one (empty: any) ...", free=True)
    recipe: str = key(
        "",
        "... and of this digest have the number: of model, method, selection, data, "
        "optimizer, schedule and length, by `put_published`; empty: of any",
        free=True,
    )
