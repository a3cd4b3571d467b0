"""What a cache is to hold: from the request, the config and what is stored already."""

import dataclasses
import pathlib

from kdjax.caching import manifest
from kdjax.caching.layout import Layout
from kdjax.caching.teacher_runner import TeacherRunner, layout_of
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices
from kdjax.experiment import schema
from kdjax.experiment.build import identity_of, plan_of, versions
from kdjax.experiment.cache import epochs_of, origin_of
from kdjax.experiment.data import Images, build_images
from kdjax.experiment.pretrained import Teacher
from kdjax.experiment.teachers import load_teacher
from kdjax.runner.workdir import LOCK, SHARED

FULL_UP_TO = 200  # classes; above it only the TOP_K largest logits are stored
TOP_K = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheRequest:
    """A teacher's outputs for the students of a config, to be written or verified.

    Attributes:
      config: plain, of one training of students.
      data: of that config.
      teacher: of that config.
      directory: of the cache.
      epochs: None: those of the config. The same below: what is stored, or else
        float16, all logits up to FULL_UP_TO classes and TOP_K above, no features.
      dtype: of what is stored.
      top_k: how many logits of a sample; 0 for all.
      features: names of features that are stored as well.
    """

    config: dict
    data: Images
    teacher: Teacher
    directory: pathlib.Path
    epochs: int | None = None
    dtype: str | None = None
    top_k: int | None = None
    features: tuple[str, ...] | None = None

    @classmethod
    def load(cls, config: dict, directory: pathlib.Path, **options) -> "CacheRequest":
        """Loads data and teacher, the same in all processes."""
        data = build_images(config["data"])
        teacher = load_teacher(config["teacher"], identity_of(data))
        if teacher is None:
            raise InputError(
                "config.teacher names none; expected config.teacher.workdir, the "
                "--workdir of the run that trained the teacher."
            )
        collectives.say(devices.describe())
        same = {"data": data.train.identity, "teacher": teacher.identity["digest"]}
        collectives.assert_equal("this cache", same)
        return cls(
            config=config, data=data, teacher=teacher, directory=directory, **options
        )

    def runner(self, layout: Layout) -> TeacherRunner:
        """The teacher on the devices."""
        return TeacherRunner(
            self.teacher.network,
            self.teacher.variables,
            self.data.train,
            self.data.augment,
            seed=self.config["seed"],
            layout=layout,
            batch_size=self.config["evaluation"]["batch_size"],
            step_size=self.config["batch_size"],
        )

    def manifest(self) -> dict:
        """Of the cache as it is to be; what is not requested is as it is stored.

        Raises:
          InputError: the directory holds other outputs, or something else.
        """
        stored = manifest.read(self.directory, "--workdir")
        if stored is None:
            self._check_empty()
        wanted = self._compared(stored)
        epochs = self.epochs or self._epochs()
        if stored is not None:
            return stored | {"epochs": max(epochs, stored["epochs"])}
        made_by = {"teacher": self.teacher.identity, "versions": versions()}
        return wanted | {"epochs": epochs, "made_by": made_by}

    def stored_manifest(self) -> dict:
        """Of the cache as it is.

        Raises:
          InputError: there is none, or it holds other outputs.
        """
        stored = manifest.read(self.directory, "--workdir")
        if stored is None:
            raise InputError(f"--verify: there is no cache in {self.directory}.")
        self._compared(stored)
        return stored

    def _compared(self, stored: dict | None) -> dict:
        """All that is wanted but the number of epochs; it must be what is stored."""
        seed = schema.number(self.config, "seed", 0, integer=True)
        batch_size = schema.number(self.config, "batch_size", 1, integer=True)
        wanted = origin_of(self.teacher, self.data, seed, batch_size)
        self._check_same(stored, wanted)
        wanted |= self._layout(stored).as_json()
        self._check_same(stored, wanted)
        return wanted

    def _layout(self, stored: dict | None) -> Layout:
        classes = len(self.data.train.class_names)
        top_k = TOP_K if classes > FULL_UP_TO else 0
        chosen = {"dtype": "float16", "top_k": top_k, "features": ()}
        if stored is not None:
            chosen = {key: stored[key] for key in chosen}
        given = {key: getattr(self, key) for key in chosen}
        chosen |= {key: value for key, value in given.items() if value is not None}
        chosen["features"] = tuple(chosen["features"])
        network, variables = self.teacher.network, self.teacher.variables
        return layout_of(network, variables, self.data.train, **chosen)

    def _epochs(self) -> int:
        examples, batch_size = len(self.data.train.label), self.config["batch_size"]
        total_steps = plan_of(self.config, examples / batch_size).total_steps
        return epochs_of(total_steps, batch_size, examples)

    def _check_same(self, stored: dict | None, wanted: dict) -> None:
        different = manifest.differences(stored, wanted) if stored else []
        if different:
            raise InputError(
                f"--workdir: {self.directory} holds a cache of other outputs: "
                f"{'; '.join(different[:5])}. Use a new --workdir, or the old values."
            )

    def _check_empty(self) -> None:
        names = {path.name for path in self.directory.iterdir()} - {LOCK, SHARED}
        if names:
            raise InputError(
                f"--workdir: {self.directory} holds {', '.join(sorted(names)[:3])} and "
                "no cache; expected a new directory."
            )
