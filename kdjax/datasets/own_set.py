"""How to train on a folder's set: chosen from its images, recorded, written as config.

Small images of one size stay in memory, padded and cropped back, as CIFAR's are. All
others are decoded while a network trains, with random resized crops.
"""

import shlex
import statistics
from collections import Counter

from kdjax.data.split import DataError
from kdjax.data.tfds.names import parse_name

SMALL = 64  # pixels of a side, at most, of images that stay in memory
LARGEST, STEP = 224, 32  # of crops, and by what they differ
SMALLEST_AREA = 0.25  # of a crop; ImageNet's 0.08 takes too little of a small set
NETWORKS = {"small": ("resnet20", "resnet8"), "large": ("resnet34", "resnet18")}
BATCH, RATE = 128, 0.1  # of large sets; smaller batches have less, in proportion
_STEPS = 5000  # of a training, about
CONFIG = '''r"""{name}: {teacher} teaches {student}. By `kdjax prepare`; edit it.

{commands}
"""

from ml_collections import ConfigDict

from kdjax.experiment import schema
from kdjax.experiment.overrides import check_argument


def get_config(arg=""):
    """arg: "teacher" for the teacher, by labels; "" for the student."""
    check_argument(arg, "teacher")
    config = schema.base()
    config.data.name = "{exact}"
    config.data.test = "{test}"
{data}    config.batch_size = {batch}
    config.total_epochs = {epochs}
    # Of the two above, also where --config.batch_size or total_epochs sets them.
    config.schedule.learning_rate = config.get_ref("batch_size").to_float() * 0.1 / 128
    config.schedule.warmup_epochs = config.get_ref("total_epochs") * 0.05
    config.evaluation.every_epochs = {every}
    if arg == "teacher":
        config.model.name, config.method.name = "{teacher}", "ce"
    else:
        config.model.name = "{student}"
        config.method = ConfigDict({{"name": "kd", "alpha": 0.9, "temperature": 4.0}})
    return config
'''


def choose_training(sizes: Counter, image_size: int | None = None) -> dict:
    """feed, crop and flip for images of those (height, width).

    `image_size`: side in pixels of what a network is to see of images of any size.

    >>> choose_training(Counter({(32, 32): 300}))
    {'feed': 'resident', 'padding': 4, 'flip': True}
    >>> choose_training(Counter({(480, 640): 9}))["crops"]["size"]
    224
    """
    if image_size is not None and image_size < 8:
        raise DataError(f"--image_size is {image_size}; expected 8 pixels or more.")
    largest = max(max(size) for size in sizes)
    is_wanted = image_size is None or set(sizes) == {(image_size, image_size)}
    if len(sizes) == 1 and largest <= SMALL and is_wanted:
        return {"feed": "resident", "padding": round(largest / 8), "flip": True}
    short = statistics.median_low(sorted(min(size) for size in sizes.elements()))
    size = image_size or min(max(short // STEP * STEP, STEP), LARGEST)
    crops = {"size": size, "short_side": round(size * 8 / 7)}
    crops["smallest_area"] = SMALLEST_AREA
    return {"feed": "streamed", "padding": 0, "flip": True, "crops": crops}


def choose_batch(count: int) -> int:
    """The batch for so many training images: 40 steps an epoch or more, or 16 images.

    >>> [choose_batch(count) for count in (7, 286, 1280, 50_000)]
    [7, 16, 32, 128]
    """
    return next((b for b in (BATCH, 64, 32) if count >= 40 * b), min(16, count))


def data_section(name: str, facts: dict) -> dict:
    """A config's `data` for a prepared set with those facts; data_dir is left out.

    Raises DataError where it has nothing but training images.
    """
    tests = [split for split in ("validation", "test") if split in facts["splits"]]
    if not tests:
        raise DataError(
            f"{name} has no images to validate with; expected a folder with val/, or "
            "--validation=0.2, which splits some off."
        )
    section = {"name": name, "test": tests[0]}
    training = facts["training"]
    for key in ("feed", "crops"):
        if key in training:
            section[key] = training[key]
    return section


def config_text(name: str, facts: dict, where: str, data_dir: str, version: str) -> str:
    """A config file for `--config=where`; its docstring has the commands.

    It names the version that these facts are of: another one that is prepared later
    changes no run.
    """
    training, count = facts["training"], facts["splits"]["train"]["images"]
    side = training["crops"]["size"] if "crops" in training else SMALL
    teacher, student = NETWORKS["small" if side <= SMALL else "large"]
    section = data_section(name, facts)
    lines = [f'    config.data.feed = "{section["feed"]}"\n']
    crops = section.get("crops", {})
    lines += [f"    config.data.crops.{k} = {value}\n" for k, value in crops.items()]
    batch = choose_batch(count)
    epochs = min(60, max(10, round(_STEPS * batch / count)))
    return CONFIG.format(
        name=name,
        exact=f"{name.partition(':')[0]}:{version}",
        teacher=teacher,
        student=student,
        test=section["test"],
        data="".join(lines),
        batch=batch,
        epochs=float(epochs),
        every=float(max(1, epochs // 20)),
        commands="\n".join(commands(name, where, data_dir)),
    )


def commands(
    name: str, where: str, data_dir: str, program: str = "python -m kdjax"
) -> list[str]:
    r"""What to type: for a teacher, and for a student of it; "" is the usual data_dir.

    >>> for command in commands("photos", "photos.py", "data"):
    ...     print(command)
    python -m kdjax train --config=photos.py:teacher \
        --workdir=runs/photos/teacher --data_dir=data
    python -m kdjax train --config=photos.py \
        --workdir=runs/photos/student --data_dir=data \
        --config.teacher.workdir=runs/photos/teacher
    >>> "runs/photos-1.0.1/student" in commands("photos:1.0.1", "photos.py", "")[1]
    True
    """
    # Also by the version: its runs are no continuation of those of another one.
    runs = "runs/" + "-".join(filter(None, parse_name(name)))
    data = f" {shlex.quote(f'--data_dir={data_dir}')}" if data_dir else ""
    typed = []
    for argument, stage in ((":teacher", "teacher"), ("", "student")):
        config = shlex.quote(f"--config={where}{argument}")
        typed.append(f"{program} train {config} \\\n    --workdir={runs}/{stage}{data}")
    typed[1] += f" \\\n    --config.teacher.workdir={runs}/teacher"
    return typed
