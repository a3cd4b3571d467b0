"""Data selection by influence: from the outputs of networks to the samples to keep."""

import dataclasses
import inspect
from collections.abc import Callable

import jax
import numpy as np

from kdjax import contracts
from kdjax.contracts import InputError
from kdjax.experiment.data import Data
from kdjax.experiment.fields import check_value
from kdjax.selection import influence
from kdjax.selection.evidence import Evidence, SelectionResult
from kdjax.selection.scores import select, validation_indices
from kdjax.supervision.revision import revision_weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class Influence:
    """How samples are scored and how many are kept; the keys of a config section."""

    estimator: str = "teacher_influence"  # of `kdjax.selection.influence.ESTIMATORS`
    keep_ratio: float = 0.8  # share of the samples that are selected
    # The same share of every class; else classes that look alike may lose most.
    class_balanced: bool = False
    # Of the revision of the teacher's probabilities; None leaves them as they are.
    eta: float | None = 0.8
    damping: float = 1e-2  # added to the diagonal of the curvature
    validation_fraction: float = 0.1  # of the training set; stands for unseen data
    seed: int = 0  # of that share, and of random scores
    largest: bool = False  # keep the largest scores, not the smallest

    def __post_init__(self):
        contracts.positive("influence", "damping", self.damping)
        for name in ("keep_ratio", "validation_fraction"):
            contracts.fraction("influence", name, getattr(self, name))
            contracts.positive("influence", name, getattr(self, name))
        if self.eta is not None and not 0 < self.eta < 1:
            raise InputError(f"influence: eta is {self.eta}; expected 0 < eta < 1.")
        choices = tuple(influence.ESTIMATORS)
        check_value("influence: estimator", str, self.estimator, choices=choices)

    @property
    def wants_teacher(self) -> bool:
        return self.estimator == "teacher_influence"

    def keep(
        self,
        images: Data,
        outputs: list[dict[str, np.ndarray]],
        teacher_logits: np.ndarray | None,
        learning_rates: tuple[float, ...] = (),
    ) -> SelectionResult:
        """Which training samples to keep; the score is larger the sooner one is kept.

        `outputs` are {"logits", "features"} of the reference; for "gradient_dot" of
        every checkpoint, whose `learning_rates` are needed too, else a single one.
        `teacher_logits` are [n, classes], where `wants_teacher`.
        """
        labels = images.train.label
        evidence = [Evidence(one["logits"], one["features"], labels) for one in outputs]
        snapshots = None
        if learning_rates:
            snapshots = list(zip(learning_rates, evidence, strict=True))
        targets = self._targets(teacher_logits, labels) if self.wants_teacher else None
        share = self.validation_fraction
        scores = influence.influence_scores(
            self.estimator,
            evidence=evidence[-1],
            targets=targets,
            validation=validation_indices(labels, share, seed=self.seed),
            snapshots=snapshots,
            damping=self.damping,
            seed=self.seed,
        )
        groups = labels if self.class_balanced else None
        values = -scores.values if self.largest else scores.values
        return SelectionResult(select(values, self.keep_ratio, groups), -values)

    def _targets(self, teacher_logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The targets of distillation, [n, classes]."""
        probabilities = np.asarray(jax.nn.softmax(np.float32(teacher_logits)))
        if self.eta is None:
            return probabilities
        beta = np.asarray(revision_weight(probabilities, labels, self.eta))[:, None]
        one_hot = np.eye(probabilities.shape[1], dtype=np.float32)[labels]
        return beta * probabilities + (1 - beta) * one_hot


def takes_influence(build: Callable) -> Callable:
    """Lists the keys of `Influence` in a builder's signature, for its `**influence`."""
    signature = inspect.signature(build)
    keys = list(inspect.signature(Influence).parameters.values())
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    build.__signature__ = signature.replace(parameters=own + keys)
    return build
