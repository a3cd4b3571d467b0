"""What trained networks say of the same images, computed once for each of them."""

import functools
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from kdjax.analysis.confusion import most_confused
from kdjax.analysis.outputs import NetworkOutputs
from kdjax.analysis.projection import three_class_projection
from kdjax.analysis.student_teacher import feature_norms
from kdjax.contracts import InputError
from kdjax.data.npz import Arrays
from kdjax.data.split import Split
from kdjax.distributed import collectives
from kdjax.experiment.pretrained import REUSED, Teacher
from kdjax.paths import files
from kdjax.reporting.files import replace_npz
from kdjax.runner.evaluate import normaliser
from kdjax.training import sharding
from kdjax.training.evaluator import answerer, passing_rows

DIRECTORY = "analysis"  # of a workdir, where they are kept


class TrainedNetwork(NamedTuple):
    """A network of a run, which is loaded when its outputs are not kept."""

    name: str  # that a reader sees
    identity: dict  # changes with its weights
    architecture: dict  # networks of one are compiled once
    data: dict  # `Data.identity` of its run
    load: Callable[[], Teacher]
    file: pathlib.Path | None = None  # where its outputs are kept, but for the ending


class Images:
    """An even part of a split, of `most` images, and networks' outputs on it.

    `classes` are the three whose images are projected; None: those that the first
    network confuses most. They are () where there are no three. `name` is the split's
    in the names of files.
    """

    def __init__(
        self,
        split: Split,
        most: int | None,
        classes: tuple[int, ...] | None,
        name: str = "",
    ):
        self.name = name
        self.total, self.split = len(split.label), split
        if most is not None and self.total > most:
            mask = np.zeros(self.total, bool)
            mask[np.linspace(0, self.total - 1, most).round().astype(int)] = True
            part = {"image": split.image[mask], "label": split.label[mask]}
            self.split = split._replace(**part)
        self.classes, self._answerers = classes, {}

    def image_at(self, row: int) -> np.ndarray:
        return self.split.image[row : row + 1][0]

    def outputs(self, network: TrainedNetwork) -> NetworkOutputs:
        """Those that are kept, of these weights and images; else computed and kept."""
        kept = self._kept(network)
        if kept is not None and kept.feature_norms is not None:
            return kept
        try:
            trained = network.load()
        except InputError:
            if kept is None:
                raise
            return kept
        # A network may have got a name for its features since, with the same weights.
        if kept is not None and not self._has_features(network, trained):
            return kept
        # Minutes, of large networks on a CPU.
        collectives.log(f"{network.name}: runs on {len(self.split.label):,} images")
        arrays = self._answer(network, trained)
        wrong = sum(~np.isfinite(x).all(axis=1) for x in arrays.values()).astype(bool)
        if wrong.any():
            raise InputError(
                f"{network.name} answers {wrong.sum()} of {len(wrong)} images with NaN "
                "or infinity; expected a network that has not diverged."
            )
        if self.classes is None:
            self.classes = most_confused(arrays["logits"], self.split.label)
        features = arrays.get("features")
        norms = None if features is None else feature_norms(features)
        points = self._points(trained, features)
        outputs = NetworkOutputs(arrays["logits"], norms, points)
        self._keep(network, outputs)
        return outputs

    def _has_features(self, network: TrainedNetwork, trained: Teacher) -> bool:
        normalise = normaliser(network.data).evaluate

        def features(variables, image):
            return trained.network.evaluate(*variables, normalise(image)).features

        image = jax.ShapeDtypeStruct((1, *self.split.image.shape[1:]), np.uint8)
        return "pooled" in jax.eval_shape(features, trained.variables, image)

    def _answer(self, network: TrainedNetwork, trained: Teacher) -> dict:
        """Logits [n, k] and features [n, d]; of an ensemble the mean, side by side."""
        moments = network.data["normalisation"]
        key = json.dumps([network.architecture, moments], sort_keys=True)
        if key not in self._answerers:
            normalise = normaliser(network.data).evaluate
            given = (trained.network, normalise, self._batches)
            self._answerers[key] = answerer(*given, needs_features=False)
        variables = sharding.place_replicated(trained.variables, self._batches.mesh)
        outputs = self._answerers[key](variables)
        if outputs["logits"].ndim == 3:
            outputs["logits"] = outputs["logits"].mean(1)
            if "features" in outputs:
                rows = len(outputs["features"])
                outputs["features"] = outputs["features"].reshape(rows, -1)
        return outputs

    @functools.cached_property
    def _batches(self):
        return passing_rows(self.split, 0, sharding.make_mesh())

    def _points(self, trained: Teacher, features) -> np.ndarray | None:
        """The three classes' images in the plane of their weights, where it has one."""
        if features is None or not self.classes:
            return None
        kernels = self._kernels(trained, features.shape[1])
        if len(kernels) != 1:
            return None
        shown = np.isin(self.split.label, self.classes)
        places = trained.places or range(kernels[0].shape[1])
        columns = [places[label] for label in self.classes]
        templates = np.asarray(kernels[0])[:, columns].T
        return three_class_projection(features[shown], templates)

    def _kernels(self, trained: Teacher, width: int) -> list:
        """What may be the weights of the last layer, [width, its own classes]."""
        if REUSED in trained.identity:  # beside one of its own, which it does not use
            return [trained.variables[1]["classifier"]["kernel"]]
        classes = len(self.split.class_names)
        if trained.places:
            classes = trained.identity["adapted"]["of_classes"]
        leaves = jax.tree.leaves(trained.variables[0])
        return [x for x in leaves if x.shape == (width, classes)]

    def _path(self, network: TrainedNetwork) -> pathlib.Path | None:
        return network.file and network.file.with_name(
            f"{network.file.name}-{self.name}.npz"
        )

    def _key(self, network: TrainedNetwork) -> str:
        identity = [network.identity, self.split.identity, len(self.split.label)]
        own = network.architecture.get("teacher", network.architecture)
        if own.get("adapted") or own.get(REUSED):
            # Earlier versions took the weights of other classes for their points.
            identity.append("points by the classifier in use")
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def _kept(self, network: TrainedNetwork) -> NetworkOutputs | None:
        path = self._path(network)
        if path is None or not path.is_file():
            return None
        try:
            with path.open("rb") as file, Arrays(file) as saved:
                arrays = dict(saved)
        except Exception as error:  # NumPy and zipfile raise six kinds
            collectives.log(f"{path}: computed again: {files.text_of(error)}")
            return None
        if arrays.pop("key", None) != self._key(network):
            return None
        if arrays.keys() - {"classes"} - set(NetworkOutputs._fields):
            return None
        classes = self.classes
        if classes is None:
            classes = most_confused(arrays["logits"], self.split.label)
        if tuple(arrays.pop("classes").tolist()) != classes:
            return None
        self.classes = classes
        return NetworkOutputs(**arrays)

    def _keep(self, network: TrainedNetwork, outputs: NetworkOutputs) -> None:
        path = self._path(network)
        if path is None:
            return
        arrays = {k: v for k, v in outputs._asdict().items() if v is not None}
        arrays["key"] = np.array(self._key(network))
        arrays["classes"] = np.array(self.classes, int)
        try:
            replace_npz(path, **arrays)
        except OSError as error:  # of a run that one may only read
            collectives.log(f"{path}: not kept: {files.text_of(error)}")
