"""RC: the softened teacher, and the student's own logits with the label raised.

As in the public code of W. Sun et al., "Knowledge Distillation with Refined Logits",
ICCV 2025 (arXiv:2408.07703), which compares with it.

    L = label_weight CE(s, y) + weight tau^2 KL(softmax(t / tau) || softmax(s / tau))
        + correction_weight tau^2 KL(softmax(s' / tau) || softmax(s / tau))
    s' = s without gradient, and at the label s_y + max_k s_k

| symbol | argument    |
|--------|-------------|
| tau    | temperature |

The published numbers have weights 1, 1 and .1 and tau 4 on CIFAR-100, for all pairs,
and tau 1 on ImageNet.

Departs from the paper: nothing of its code. The third part looks at no teacher; a
selection of samples weighs it with the others.
"""

import jax

from kdjax import contracts, losses
from kdjax.methods.base import Method, Term
from kdjax.methods.terms import hard_label, soft_logits, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Sun et al., Knowledge Distillation with Refined Logits, ICCV 2025"


def build(
    *,
    label_weight: float = 1.0,
    weight: float = 1.0,
    correction_weight: float = 0.1,
    temperature: float = 4.0,
) -> Method:
    """Cross entropy, the softened teacher and the student's corrected prediction.

    Args:
      label_weight: of the label, >= 0; at 0 it is left out.
      weight: of the teacher, > 0.
      correction_weight: of the correction, > 0.
      temperature: of both, > 0, finite.
    """
    contracts.not_negative("rc", "label_weight", label_weight)
    contracts.positive("rc", "weight", weight)
    contracts.positive("rc", "correction_weight", correction_weight)
    contracts.positive("rc", "temperature", temperature)
    labels = (hard_label(label_weight),) if label_weight else ()
    correction = Term("label_correction", correction_weight, _correction)
    return Method(
        terms=(*labels, soft_logits(weight), correction),
        supervisor=Supervisor(temperature=fixed(temperature)),
    )


def _correction(inputs):
    student, tau = student_logits(inputs), inputs.supervision.temperature
    own = jax.lax.stop_gradient(student)
    return tau**2 * losses.label_correction(student, own, inputs.labels, tau)
