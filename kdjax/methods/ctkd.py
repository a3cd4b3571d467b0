"""Curriculum temperature: one trained number, made harder as the training goes on.

Z. Li, X. Li, L. Yang, B. Zhao, R. Song, L. Luo, J. Li, J. Yang, "Curriculum Temperature
for Knowledge Distillation", AAAI 2023 (arXiv:2211.16231).

    tau = lowest + span sigmoid(p),   p a trained number that begins with 1
    L = (1 - alpha) CE(s, y) + alpha tau^2 KL(softmax(t / tau) || softmax(s / tau))
    dL/dp is multiplied by lambda = cosine from 0 to -1 over the first epochs

So the student descends and p ascends the same loss.

| symbol                  | argument       |
|-------------------------|----------------|
| alpha                   | alpha          |
| lowest                  | lowest         |
| span                    | span           |
| epochs of lambda's fall | reverse_epochs |

The authors' settings, for all pairs, are the defaults: "Global-T" of the paper. The
optimizer of the student trains p, with its weight decay, as in the authors' code. The
number is kept with the training and not exported.

Departs from the paper: nothing; lambda changes at whole epochs, as in the authors'
code. No rule gives the temperature: rules on logits and weights attach.
"""

import jax
import jax.numpy as jnp

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Schedule, Term
from kdjax.methods.coefficients import epoch_counter
from kdjax.methods.terms import hard_label, student_logits
from kdjax.models.connectors import Scalar, from_module, reverse_gradient
from kdjax.supervision.pipeline import Supervisor

REFERENCE = "Li et al., Curriculum Temperature for Knowledge Distillation, AAAI 2023"


def build(
    *,
    steps_per_epoch: float,
    alpha: float = 0.9,
    lowest: float = 1.0,
    span: float = 20.0,
    initial: float = 1.0,
    reverse_epochs: float = 10.0,
) -> Method:
    """Cross entropy and the teacher, softened by a trained temperature.

    Args:
      steps_per_epoch: of the run; need not be whole.
      alpha: share of the teacher, above 0 and up to 1. At 1 no label is used.
      lowest: of the temperature, > 0.
      span: how far the temperature may rise above it, > 0.
      initial: p before the first step, of any sign.
      reverse_epochs: over which lambda falls from 0 to -1, > 0.

    >>> [term.name for term in build(steps_per_epoch=100.0).terms]
    ['hard_label', 'curriculum']
    """
    contracts.fraction("ctkd", "alpha", alpha)
    for name, value in (
        ("alpha", alpha),
        ("lowest", lowest),
        ("span", span),
        ("reverse_epochs", reverse_epochs),
        ("steps_per_epoch", steps_per_epoch),
    ):
        contracts.positive("ctkd", name, value)
    reversal = _reversal(reverse_epochs, steps_per_epoch)

    def temperature(p):
        return lowest + span * jax.nn.sigmoid(p)

    def values(inputs):
        s = inputs.supervision
        p = inputs.connected["temperature"]
        tau = temperature(reverse_gradient(p, reversal(inputs.step)))
        kl = losses.kl_divergence(student_logits(inputs), s.logits, tau)
        return s.weight * tau**2 * kl

    labels = (hard_label(1.0 - alpha),) if alpha < 1 else ()
    term = Term("curriculum", alpha, values, NOTHING, weighted=True)
    return Method(
        terms=(*labels, term),
        supervisor=Supervisor(),
        connectors={"temperature": from_module(Scalar(initial))},
        report=lambda inputs: {
            "temperature/mean": temperature(inputs.connected["temperature"])
        },
    )


def _reversal(epochs: float, steps_per_epoch: float) -> Schedule:
    """-lambda of a step, whose epoch is counted from 1 as it begins."""
    epoch_of = epoch_counter(steps_per_epoch, epochs)

    def schedule(step):
        share = jnp.minimum(1.0, epoch_of(step) / epochs)
        return 0.5 * (1.0 - jnp.cos(jnp.pi * share))

    return schedule
