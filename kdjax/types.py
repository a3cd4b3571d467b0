"""The nouns that all rooms share: tuples of arrays, which jit and grad take."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

PyTree = Any
# What of a sample, beside its image, a rule or a term may look at: see `Method.reads`.
SAMPLE_FIELDS = frozenset({"label", "index"})


class Outputs(NamedTuple):
    """What a network returns. jit drops the features that nothing reads."""

    logits: Float[Array, "batch classes"]  # unnormalised log-probabilities
    # "stem", "stage1", "stage2", ... [b, h, w, c] and "pooled" [b, c]
    features: dict[str, Array]
    # Of several networks: each one's own; the logits are then their mean.
    member_logits: Float[Array, "batch networks classes"] | None = None


class ConnectorInputs(NamedTuple):
    """What a connector may look at; of the teacher without gradient."""

    student: Outputs
    teacher: Outputs


class Connector(NamedTuple):
    """Trained parameters that belong to a method: two pure functions.

    init(key, inputs) gives (params, state) and reads shapes alone; apply(params, state,
    inputs, train) gives (outputs, next state). The student's optimizer trains them, at
    `rate` times its learning rate; they are saved with the training and never exported.
    """

    init: Callable[[Array, ConnectorInputs], tuple[PyTree, PyTree]]
    apply: Callable[[PyTree, PyTree, ConnectorInputs, bool], tuple[PyTree, PyTree]]
    rate: float = 1.0  # 0: frozen, as it is restored from an earlier stage


class LabelMixture(NamedTuple):
    """The labels of mixtures of two samples: share of the own, the rest the other's."""

    other: Int[Array, " batch"]  # label of the sample that is mixed in
    share: Float[Array, " batch"]  # of the own label, in [0, 1]


class Batch(NamedTuple):
    """What one step trains on. Loaders give uint8; the rest happens inside jit."""

    image: Array  # [b, h, w, c]; normalised floats after `augment`
    label: Int[Array, " batch"]
    index: Int[Array, " batch"]  # position of the sample in the training split
    epoch: Int[Array, " batch"]  # passes over the split before; seeds the sample's crop
    # student -> name -> [b, ...]: what belongs to each sample beside its label, such as
    # "selection"; for a student without it every sample is selected for the teacher.
    sample_info: dict[str, dict[str, Array]]
    second: Array | None = None  # another crop of `image`, where a method asks for one
    teacher_outputs: Outputs | None = None  # where they come from a cache
    label_mixture: LabelMixture | None = None  # where `image` is of two samples each


class Signals(NamedTuple):
    """What a supervision rule may look at. Gradients are already stopped."""

    student_logits: Float[Array, "batch classes"]
    teacher_logits: Float[Array, "batch classes"]
    labels: Int[Array, " batch"]
    index: Int[Array, " batch"]
    selection: Float[Array, " batch"]
    step: Int[Array, ""]
    # Each teacher's own logits; None with a single teacher.
    members: Float[Array, "batch teachers classes"] | None = None


class MemoryInputs(NamedTuple):
    """What a memory may look at. Gradients are already stopped."""

    student: Outputs
    teacher: Outputs | None
    labels: Int[Array, " batch"]
    index: Int[Array, " batch"]
    step: Int[Array, ""]
    connected: dict[str, PyTree] = {}  # what the method's connectors gave
    key: Array | None = None  # of the step


class SecondView(NamedTuple):
    """The outputs on another crop, or another augmentation, of the same samples."""

    student: Outputs
    teacher: Outputs | None


class ImageGradients(NamedTuple):
    """d logit_y / d image of each sample, for the logit of its label."""

    student: Float[Array, "batch height width channels"]
    teacher: Float[Array, "batch height width channels"]


class Supervision(NamedTuple):
    """What a student is trained by; constants to the gradient."""

    logits: Float[Array, "batch classes"]  # the teacher's, after adjustment
    # Softened and revised; rows sum to 1. None, as the temperature, where the method
    # has no temperature.
    target: Float[Array, "batch classes"] | None
    temperature: Float[Array, " batch"] | None  # > 0, may be infinite
    weight: Float[Array, " batch"]  # >= 0; 0: the teacher plays no part on this sample
    # The student's, with its gradient, where the supervisor transforms both sides.
    student_logits: Float[Array, "batch classes"] | None = None


class LossInputs(NamedTuple):
    """What a term may look at. Without a teacher the two fields about it are None."""

    student: Outputs
    teacher: Outputs | None
    labels: Int[Array, " batch"]
    supervision: Supervision | None
    # The run's selection of samples; what a weight below 1 means, the method decides.
    selection: Float[Array, " batch"] | None = None
    step: Int[Array, ""] | None = None
    remembered: PyTree = None  # the method's memory of these samples
    mixed: PyTree = None  # what the method's mixture prepared beside its images
    connected: dict[str, PyTree] = {}  # what the method's connectors gave, by name
    second_view: SecondView | None = None
    image_gradients: ImageGradients | None = None
    teacher_variables: PyTree = None  # (params, batch_stats)
    student_parameters: PyTree = None  # with their gradient
    # Where images are mixtures of two samples; `labels` are then of the first.
    label_mixture: LabelMixture | None = None
