"""What a cache is to hold: from the request, the config and what is stored already."""

import dataclasses
import pathlib

from kdjax.caching import manifest
from kdjax.caching.layout import Layout
from kdjax.caching.teacher_runner import TeacherRunner, layout_of
from kdjax.contracts import InputError
from kdjax.distributed import collectives, devices
from kdjax.experiment.build import plan_of, versions
from kdjax.experiment.cache import epochs_of, origin_of
from kdjax.experiment.data import Data, load_data
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
    data: Data
    teacher: Teacher
    directory: pathlib.Path
    epochs: int | None = None
    dtype: str | None = None
    top_k: int | None = None
    features: tuple[str, ...] | None = None

    @classmethod
    def load(cls, config: dict, directory: pathlib.Path, **options) -> "CacheRequest":
        """Loads data and teacher, the same in all processes."""
        data = load_data(config["data"])
        teacher = load_teacher(config["teacher"], data.identity)
        if teacher is None:
            raise InputError(
                "config.teacher names none; expected config.teacher.workdir, the "
                "--workdir of the run that trained the teacher."
            )
        collectives.log(devices.describe())
        same = {"data": data.train.identity, "teacher": teacher.identity["digest"]}
        collectives.assert_equal("this cache", same)
        given = {"config": config, "data": data, "teacher": teacher}
        return cls(**given, directory=directory, **options)

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

    def _stored(self, verify: bool) -> dict | None:
        """The manifest in the directory, or None of an empty one."""
        record = manifest.read(self.directory, "--workdir")
        if record is None and verify:
            raise InputError(f"--verify: there is no cache in {self.directory}.")
        if record is None:
            names = {path.name for path in self.directory.iterdir()} - {LOCK, SHARED}
            if names:
                raise InputError(
                    f"--workdir: {self.directory} holds "
                    f"{', '.join(sorted(names)[:3])} and no cache; expected a new "
                    "directory."
                )
        return record

    def manifest(self, verify: bool = False) -> dict:
        """Of the cache as it is to be, or, to verify it, as it is.

        Raises:
          InputError: the directory holds other outputs, or something else.
        """
        stored = self._stored(verify)
        seed, batch_size = self.config["seed"], self.config["batch_size"]
        wanted = origin_of(self.teacher, self.data, seed, batch_size)
        self._check_same(stored, wanted)
        wanted |= self._layout(stored).as_json()
        self._check_same(stored, wanted)
        if verify:
            return stored
        examples, epochs = len(self.data.train.label), self.epochs
        if epochs is None:
            total_steps = plan_of(self.config, examples / batch_size).total_steps
            epochs = epochs_of(total_steps, batch_size, examples)
        if stored is not None:
            return stored | {"epochs": max(epochs, stored["epochs"])}
        made_by = {"teacher": self.teacher.identity, "versions": versions()}
        return wanted | {"epochs": epochs, "made_by": made_by}

    def _layout(self, stored: dict | None) -> Layout:
        many = len(self.data.train.class_names) > FULL_UP_TO
        values = {"dtype": "float16", "top_k": TOP_K if many else 0, "features": ()}
        if stored is not None:
            values = {key: stored[key] for key in values}
        given = {key: getattr(self, key) for key in values}
        values |= {key: value for key, value in given.items() if value is not None}
        network, variables = self.teacher.network, self.teacher.variables
        return layout_of(network, variables, self.data.train, **values)

    def _check_same(self, stored: dict | None, wanted: dict) -> None:
        different = manifest.differences(stored, wanted) if stored else []
        if different:
            raise InputError(
                f"--workdir: {self.directory} holds a cache of other outputs: "
                f"{'; '.join(different[:5])}. Use a new --workdir, or the old values."
            )
