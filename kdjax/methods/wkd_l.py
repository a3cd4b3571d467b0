"""WKD-L: what it costs to move the student's probabilities to the teacher's.

J. Lv, H. Yang, P. Li, "Wasserstein Distance Rivals Kullback-Leibler Divergence for
Knowledge Distillation", NeurIPS 2024 (arXiv:2412.08139).

    L = CE(s, y) - softmax(t)_y log softmax(s)_y + w d W(q', p')
    cost_ij = 1 - exp(-k (1 - similarity_ij))

W is the entropic transport (`losses.wasserstein_nontarget`) between the predictions at
tau over the classes other than the label. d is 1, and from an epoch on falls as half a
cosine to 0 at the end of the run.

| symbol     | argument       |
|------------|----------------|
| w          | weight         |
| tau        | temperature    |
| k          | sharpness      |
| similarity | similarity     |
| epoch of d | decay_epoch    |

The authors' settings on CIFAR-100: tau 8, w 600 (800 for some pairs), d from epoch 150
of 240; on ImageNet tau 2, w 10, no d; both k 1, regularisation .05, 10 iterations.

Similarity "classifier", the default, is the cosine between the classes' weights in the
teacher's last layer; the authors' code has it as `COST_MATRIX: fc`. The published
numbers belong to another: the similarity (CKA) of the classes' logits, on CIFAR-100, or
features, over all images of the training split. Compute it once by
`losses.class_similarity`, save it by `numpy.save` and give the file's name.

Departs from the paper: the default similarity; the transport is computed in the log
domain, exact where the authors' code adds 1e-8 to each divisor and to the cost.
"""

import jax
import numpy as np
from jaxtyping import Array, Float

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.coefficients import decayed
from kdjax.methods.nkd import target_class
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Lv et al., Wasserstein Distance Rivals KL Divergence for KD, NeurIPS 2024"
CLASSIFIER = "classifier"


def build(
    *,
    steps_per_epoch: float,
    total_steps: int,
    weight: float = 600.0,
    temperature: float = 8.0,
    similarity: str = CLASSIFIER,
    sharpness: float = 1.0,
    regularisation: float = 0.05,
    iterations: int = 10,
    decay_epoch: float = 150.0,
) -> Method:
    """Cross entropy, the label's part of the teacher, and the transport of the others.

    Args:
      steps_per_epoch, total_steps: of the run.
      weight: of the transport, > 0.
      temperature: of the transport, > 0, finite.
      similarity: "classifier", or the name of a .npy file of [classes, classes] numbers
        up to 1.
      sharpness: of the cost, > 0.
      regularisation: of the transport, > 0.
      iterations: of the transport, >= 1.
      decay_epoch: after which the weight falls to 0; without effect from the run's
        last epoch on.
    """
    for name, value in (
        ("weight", weight),
        ("temperature", temperature),
        ("sharpness", sharpness),
        ("regularisation", regularisation),
    ):
        contracts.positive("wkd_l", name, value)
    if iterations < 1:
        raise ValueError(f"wkd_l: iterations is {iterations}; expected 1 or more.")
    given = None if similarity == CLASSIFIER else _read(similarity)

    def transport(inputs):
        s = inputs.supervision
        alike = given
        if alike is None:
            alike = losses.classifier_similarity(_head(inputs.teacher_variables))
        cost = losses.transport_cost(alike, sharpness)
        pair = student_logits(inputs), s.logits
        return s.weight * losses.wasserstein_nontarget(
            *pair, inputs.labels, s.temperature, cost, regularisation, iterations
        )

    schedule = decayed("wkd_l", weight, decay_epoch, steps_per_epoch, total_steps)
    other = Term("transport", schedule, transport, weighted=True)
    return Method(
        terms=(hard_label(1.0), target_class(1.0), other),
        supervisor=Supervisor(temperature=fixed(temperature)),
        needs=("teacher_variables", "teacher_classifier") if given is None else (),
    )


def _head(variables) -> Float[Array, "channels classes"]:
    try:
        return jax.lax.stop_gradient(variables[0]["head"]["kernel"])
    except (KeyError, TypeError, IndexError):
        raise ValueError(
            "wkd_l: the teacher has no last layer of the name 'head', whose weights "
            "say how alike the classes are; expected a network of kdjax, or a file of "
            "similarities."
        ) from None


def _read(path: str) -> np.ndarray:
    """The similarity in a file, [classes, classes]."""
    from kdjax.data.npz import read_npy  # which few methods need

    try:
        with open(path, "rb") as file:
            values = read_npy(file)
    except Exception as error:  # NumPy raises four kinds for damaged files
        raise ValueError(
            f"wkd_l: similarity is {path!r}; expected {CLASSIFIER!r} or a .npy file of "
            f"[classes, classes] numbers ({error})."
        ) from None
    values = np.asarray(values, np.float32)
    contracts.shapes("wkd_l", similarity=(values, "classes classes"))
    if not (np.isfinite(values).all() and (values <= 1 + 1e-4).all()):
        raise ValueError(f"wkd_l: {path} has a similarity above 1 or not finite.")
    return values
