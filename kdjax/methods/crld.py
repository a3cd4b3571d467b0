"""Cross-view consistency: teacher and student on a weak and a strong view, crosswise.

W. Zhang, D. Liu, W. Cai, C. Ma, "Cross-View Consistency Regularisation for Knowledge
Distillation", ACM Multimedia 2024 (arXiv:2412.16493).

    L = CE(s_w, y) + CE(s_s, y)
        + within mean(m_w [KD(s_w, t_w) + KD(s_s, t_s)])
        + cross mean(m_s [KD(s_s, t_w) + KD(s_w, t_s)])
    m_v = 1 where max softmax(t_v) >= threshold_v,   KD(s, t) = tau^2 KL(t || s)

w is the weak view, the usual crop, s the strong one, another crop with RandAugment.

| symbol      | argument         |
|-------------|------------------|
| within      | within_weight    |
| cross       | cross_weight     |
| tau         | temperature      |
| threshold_w | weak_threshold   |
| threshold_s | strong_threshold |

The authors' settings, for ResNet-32x4 to ResNet-8x4: within 2, cross .5, tau 4,
thresholds .9 and .2; whether others are tuned per pair could not be read. The strong
view costs a second forward pass of both networks, and the loss has two parts where
others have one: MLKD, which has two views too, takes half of the usual learning rate.

Departs from the paper: nothing; the formulas are those of the authors' code, in which
m_w weighs both parts within a view, and m_s both parts across. Means run over the whole
batch, masked samples included. Batch norms see each view as a batch of its own.
"""

import jax
import jax.numpy as jnp

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.terms import hard_label, student_logits
from kdjax.supervision.pipeline import Supervisor, fixed

REFERENCE = "Zhang et al., Cross-View Consistency Regularisation, ACM MM 2024"


def build(
    *,
    within_weight: float = 2.0,
    cross_weight: float = 0.5,
    temperature: float = 4.0,
    weak_threshold: float = 0.9,
    strong_threshold: float = 0.2,
    label_weight: float = 1.0,
) -> Method:
    """Cross entropy on both views, and the teacher within and across them.

    Args:
      within_weight: of the same view of both networks, > 0.
      cross_weight: of different views, > 0.
      temperature: > 0, finite.
      weak_threshold: of the teacher's confidence on the weak view, from 0 to 1.
      strong_threshold: of its confidence on the strong view, from 0 to 1.
      label_weight: of the label on each view, >= 0; at 0 it is left out.
    """
    contracts.positive("crld", "within_weight", within_weight)
    contracts.positive("crld", "cross_weight", cross_weight)
    contracts.positive("crld", "temperature", temperature)
    contracts.fraction("crld", "weak_threshold", weak_threshold)
    contracts.fraction("crld", "strong_threshold", strong_threshold)

    def within(inputs):
        (s_w, t_w), (s_s, t_s) = views(inputs)
        mask = _confidence(t_w) >= weak_threshold
        return _weighted(inputs, mask, (s_w, t_w), (s_s, t_s))

    def cross(inputs):
        (s_w, t_w), (s_s, t_s) = views(inputs)
        mask = _confidence(t_s) >= strong_threshold
        return _weighted(inputs, mask, (s_s, t_w), (s_w, t_s))

    return Method(
        terms=(
            *labels_of_views("crld", label_weight),
            Term("within_view", within_weight, within, NOTHING, weighted=True),
            Term("cross_view", cross_weight, cross, NOTHING, weighted=True),
        ),
        supervisor=Supervisor(temperature=fixed(temperature)),
        second_view="randaugment",
    )


def views(inputs):
    """(student's, teacher's) logits on the weak view, then on the strong one."""
    second = inputs.second_view
    weak = (student_logits(inputs), inputs.supervision.logits)
    return weak, (second.student.logits, second.teacher.logits)


def labels_of_views(where: str, label_weight: float) -> tuple[Term, ...]:
    """Cross entropy on each of two views; none at a weight of 0."""
    contracts.not_negative(where, "label_weight", label_weight)
    if not label_weight:
        return ()

    def second(inputs):
        return losses.cross_entropy(inputs.second_view.student.logits, inputs.labels)

    return hard_label(label_weight), Term("hard_label_second", label_weight, second)


def _weighted(inputs, mask, *pairs):
    s = inputs.supervision
    kl = sum(losses.kl_divergence(*pair, s.temperature) for pair in pairs)
    return s.weight * mask.astype(jnp.float32) * s.temperature**2 * kl


def _confidence(logits):
    return jnp.max(jax.nn.softmax(logits.astype(jnp.float32)), axis=-1)
