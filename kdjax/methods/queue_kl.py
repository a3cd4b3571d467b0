"""Distillation against a queue of teacher features: no labels, no classifier.

From the public code of LightlyTrain, `distillation` and `distillationv3`; no paper. It
draws on L. Beyer et al., "Knowledge distillation: A good teacher is patient and
consistent", CVPR 2022 (arXiv:2106.05237), with features in place of classes.

    q(f) = softmax(Q f / tau),  Q: the latest pooled features of the teacher, unit rows
    L = weight KL(q(f_t) || q(W f_s)),   f_t and W f_s of unit length
    local: + local_weight mean_p KL(softmax(A^t_p / tau') || softmax(A^s_p / tau'))

A are the cosines of all positions of a map with position p of the same image; the
student's map is mapped linearly to the teacher's channels and resized to its grid
(`losses.patch_similarity`).

| symbol       | argument          |
|--------------|-------------------|
| rows of Q    | queue_length      |
| tau          | temperature       |
| tau'         | local_temperature |
| maps of A    | local             |

The public settings: a queue of 8192 rows, fewer for fewer than 20000 images (about a
quarter to a half of them), tau and tau' .07, both weights 1; images mixed with a share
from U(0, 1), here `config.data.mixup = 1.0`; gradients clipped to a norm of 1; LARS at
1.8 for `distillation`, AdamW at 5e-4 for `distillationv3`, at a batch of 1536. No
results on the sets here are published; tuned per pair: no.

Departs from the paper: there is none; from the public code, in that one queue serves
the whole batch, where the code has one on each device. As there the batch is put into
the queue before it is compared, and rows not yet filled are zeros that play a part;
`mask_unfilled` leaves them out. `label_weight` adds the labels.
"""

import jax.numpy as jnp

from kdjax import contracts, losses
from kdjax.losses.numerics import as_float32
from kdjax.losses.subset import unit
from kdjax.methods.base import NOTHING, Memory, Method, Term
from kdjax.methods.terms import hard_label
from kdjax.models.connectors import FeatureProjection, from_module

REFERENCE = "LightlyTrain, distillation against a queue of features (public code)"


def build(
    *,
    teacher_channels: int,
    queue_length: int = 8192,
    temperature: float = 0.07,
    weight: float = 1.0,
    label_weight: float = 0.0,
    local: tuple[str, str] | None = None,
    local_weight: float = 1.0,
    local_temperature: float = 0.07,
    mask_unfilled: bool = False,
) -> Method:
    """The divergence over the queue; with `local` also that of the patches.

    Args:
      teacher_channels: of the teacher's pooled features.
      queue_length: at least a batch.
      temperature: of the queue's similarities, > 0, finite.
      weight: of the queue's divergence, > 0.
      label_weight: of the cross entropy, >= 0; at 0 no label is read.
      local: (student's map, teacher's map), such as ("stage3", "stage3"); None: none.
      local_weight: of the patches' divergence, > 0.
      local_temperature: of the patches' similarities, > 0, finite.
      mask_unfilled: whether rows of the queue that are not yet filled play no part.
    """
    _check_positive(
        weight=weight,
        local_weight=local_weight,
        temperature=temperature,
        local_temperature=local_temperature,
    )
    contracts.not_negative("queue_kl", "label_weight", label_weight)
    contracts.flag("queue_kl", "mask_unfilled", mask_unfilled)
    _check_sizes(teacher_channels=teacher_channels, queue_length=queue_length)
    local = _pair(local)

    def queue(inputs):
        valid = inputs.remembered["valid"] if mask_unfilled else None
        return losses.queue_kl(
            inputs.connected["projection"]["pooled"],
            inputs.teacher.features["pooled"],
            inputs.remembered["queue"],
            temperature,
            valid,
        )

    def patches(inputs):
        own = inputs.connected["projection"]["local"]
        teacher = inputs.teacher.features[local[1]]
        return losses.patch_similarity(own, teacher, local_temperature)

    labels = (hard_label(label_weight),) if label_weight else ()
    terms = (*labels, Term("queue", weight, queue, NOTHING))
    if local is not None:
        terms = (*terms, Term("patches", local_weight, patches, NOTHING))
    pairs = (("pooled", "pooled"), *(() if local is None else (local,)))
    student, teacher = zip(*pairs, strict=True)
    return Method(
        terms=terms,
        memory=_queue_memory(queue_length, teacher_channels),
        connectors={"projection": from_module(FeatureProjection(local=local))},
        student_features=student,
        teacher_features=teacher,
    )


def _check_positive(**named) -> None:
    for name, value in named.items():
        contracts.positive("queue_kl", name, value)


def _check_sizes(**named) -> None:
    for name, size in named.items():
        if size < 1:
            raise ValueError(f"queue_kl: {name} is {size}; expected at least 1.")


def _pair(local) -> tuple[str, str] | None:
    if local is None:
        return None
    if len(local) != 2:
        raise ValueError(
            f"queue_kl: local is {local!r}; expected the student's and the teacher's "
            "map, such as ('stage3', 'stage3'), or None."
        )
    return tuple(local)


def _queue_memory(length: int, channels: int) -> Memory:
    """The queue with the present batch in it; its rows are divided over devices."""

    def init():
        queue = jnp.zeros((length, channels), jnp.float32)
        return {"queue": queue, "position": jnp.zeros((), jnp.int32)}

    def update(state, inputs):
        features = as_float32(inputs.teacher.features["pooled"])
        if features.shape[-1] != channels:
            raise ValueError(
                f"queue_kl: teacher_channels is {channels}, and the teacher's pooled "
                f"features have {features.shape[-1]}; expected the same number."
            )
        if len(features) > length:
            raise ValueError(
                f"queue_kl: queue_length is {length} and the batch {len(features)}; "
                "expected a queue that holds a batch, or a smaller config.batch_size."
            )
        queue, position = losses.updated_queue(
            state["queue"], state["position"], unit(features)
        )
        remembered = {"queue": queue, "valid": jnp.arange(length) < position}
        return remembered, {"queue": queue, "position": position}

    return Memory(init, update, reads=NOTHING, sharded=True)
