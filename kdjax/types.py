"""The nouns that all floors share: tuples of arrays, which jit and grad take."""

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

PyTree = Any


class Outputs(NamedTuple):
    """What a network returns. jit drops the features that nobody reads."""

    logits: Float[Array, "batch classes"]  # unnormalised log-probabilities
    features: dict[
        str, Array
    ]  # "stem", "stage1", "stage2", ... [b, h, w, c] and "pooled" [b, c]


class Batch(NamedTuple):
    """What one step trains on. Feeds give uint8; the rest happens inside jit."""

    image: Array  # [b, h, w, c]; uint8 from a feed, normalised floats after `augment`
    label: Int[Array, " batch"]
    index: Int[Array, " batch"]  # position of the sample in the training split
    epoch: Int[
        Array, " batch"
    ]  # how often the split had been seen before; draws the sample's crop
    # student -> name -> [b, ...]: what is known of each sample beside its label, such
    # as "selection"; a student that has none hears its teacher on every sample.
    sample_info: dict[str, dict[str, Array]]
    second: Array | None = None  # another crop of `image`, where a method asks for one
    teacher_outputs: Outputs | None = (
        None  # the teacher's answers, where they come from a cache
    )


class Signals(NamedTuple):
    """What a supervision rule may look at. Gradients are already stopped."""

    student_logits: Float[Array, "batch classes"]
    teacher_logits: Float[Array, "batch classes"]
    labels: Int[Array, " batch"]
    index: Int[Array, " batch"]
    selection: Float[Array, " batch"]
    step: Int[Array, ""]
    # Each teacher's own logits; None where a single network teaches.
    members: Float[Array, "batch teachers classes"] | None = None


class MemoryInputs(NamedTuple):
    """What a memory may look at. Gradients are already stopped."""

    student_logits: Float[Array, "batch classes"]
    labels: Int[Array, " batch"]
    index: Int[Array, " batch"]
    step: Int[Array, ""]


class Supervision(NamedTuple):
    """What a student is taught with; constants to the gradient."""

    logits: Float[Array, "batch classes"]  # the teacher's, after adjustment
    target: Float[
        Array, "batch classes"
    ]  # softened and revised probabilities; rows sum to 1
    temperature: Float[Array, " batch"]  # > 0, may be infinite
    weight: Float[
        Array, " batch"
    ]  # >= 0; 0 means that the teacher is not heard on this sample


class LossInputs(NamedTuple):
    """What a term may look at. Without a teacher the two fields about it are None."""

    student: Outputs
    teacher: Outputs | None
    labels: Int[Array, " batch"]
    supervision: Supervision | None
    # The run's choice of samples: what a weight below 1 means is the method's business.
    selection: Float[Array, " batch"] | None = None
    step: Int[Array, ""] | None = None
    remembered: PyTree = None  # what the method's memory says of these samples
    mixed: PyTree = None  # what the method's mixture prepared beside its images
