"""KDCL: two networks train together on an ensemble of their own logits; no teacher.

Q. Guo, X. Wang, Y. Wu, Z. Yu, D. Liang, X. Hu, P. Luo, "Online Knowledge Distillation
via Collaborative Learning", CVPR 2020.

    L = sum_n [CE(z_n, y) + weight tau^2 KL(softmax(z_t / tau) || softmax(z_n / tau))]

z_n are the logits of network n on a crop of its own, z_t those of the ensemble, for
each sample, a constant to the gradient:

    naive      z_t = z_k,  k the network with the least CE(z_k, y)
    linear     z_t = a z_1 + (1 - a) z_2,  a in [0, 1] minimises CE(z_t, y)
    min_logit  z_t,c = min_n (z_n,c - z_n,y)

| symbol | argument    |
|--------|-------------|
| weight | weight      |
| tau    | temperature |
| rule   | rule        |

The paper has tau 2 to 3. What could be read of it gives no weight: 1 is not published.
The student is both networks, and its accuracy that of their mean logits. Where the run
selects samples, both parts are averaged over those.

Departs from the paper: two networks of one architecture, where it also has more and
different ones. CE(z_t, y) is convex in a; its slope is bisected 24 times, to 6e-8. The
rule "general", which weighs the networks by the covariance of their errors on held-out
samples, is not there: a step has no held-out samples, and errors on the training batch
would favour the network that has learnt its labels by heart.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kdjax import contracts, losses
from kdjax.losses.numerics import as_float32
from kdjax.methods.base import Method, Mixture, Term
from kdjax.methods.terms import on_selected

REFERENCE = "Guo et al., Online KD via Collaborative Learning, CVPR 2020"

NETWORKS = 2
_HALVINGS = 24
Members = Float[Array, "batch networks classes"]


def build(
    *, rule: str = "min_logit", weight: float = 1.0, temperature: float = 2.0
) -> Method:
    """Cross entropy of both networks, and the ensemble's soft target for each.

    Args:
      rule: "naive", "linear" or "min_logit".
      weight: of the soft target, > 0.
      temperature: > 0, finite.
    """
    contracts.positive("kdcl", "weight", weight)
    contracts.positive("kdcl", "temperature", temperature)
    if rule == "general":
        raise ValueError(
            "kdcl: rule is 'general', which needs the networks' errors on held-out "
            f"samples, and a step has none; expected one of {', '.join(RULES)}."
        )
    if rule not in RULES:
        raise ValueError(
            f"kdcl: rule is {rule!r}; expected one of {', '.join(RULES)}."
            f"{contracts.nearest(rule, RULES)}"
        )

    def labels(inputs):
        return sum(
            losses.cross_entropy(own, inputs.labels)
            for own in _columns(inputs.student.member_logits)
        )

    def peers(inputs):
        members = as_float32(inputs.student.member_logits)
        target = jax.lax.stop_gradient(RULES[rule](members, inputs.labels))
        kl = (
            losses.kl_divergence(own, target, temperature) for own in _columns(members)
        )
        return temperature**2 * sum(kl)

    terms = (Term("hard_label", 1.0, labels), Term("peers", weight, peers))
    return Method(
        terms=tuple(map(on_selected, terms)),
        mixture=Mixture(_two_crops),
        networks=NETWORKS,
    )


def _two_crops(predict, batch, sample_info, step):
    """Each network has a crop of its own."""
    return (batch.image, batch.second), None


def naive(members: Members, labels: Int[Array, " batch"]) -> Float[Array, "batch c"]:
    """The logits of the network with the least cross entropy; of equals the first."""
    loss = [losses.cross_entropy(own, labels) for own in _columns(members)]
    best = jnp.argmin(jnp.stack(loss, axis=1), axis=1)
    return jnp.take_along_axis(members, best[:, None, None], axis=1)[:, 0]


def linear(members: Members, labels: Int[Array, " batch"]) -> Float[Array, "batch c"]:
    """The combination with the least cross entropy, by bisection of its slope."""
    first, second = _columns(members)
    gap = first - second
    at_label = _at(gap, labels)

    def halve(_, bounds):
        low, high = bounds
        share = 0.5 * (low + high)
        p = jax.nn.softmax(second + share[:, None] * gap)
        falls = jnp.sum(p * gap, axis=-1) < at_label
        return jnp.where(falls, share, low), jnp.where(falls, high, share)

    ends = jnp.zeros_like(at_label), jnp.ones_like(at_label)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
    return second + 0.5 * (low + high)[:, None] * gap


def min_logit(
    members: Members, labels: Int[Array, " batch"]
) -> Float[Array, "batch c"]:
    """The least logit of each class, after the label's is subtracted."""
    shifted = [own - _at(own, labels)[:, None] for own in _columns(members)]
    return jnp.minimum(*shifted)


RULES = {"naive": naive, "linear": linear, "min_logit": min_logit}


def _at(logits: Array, labels: Array) -> Float[Array, " batch"]:
    return jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]


def _columns(members: Members) -> tuple[Array, ...]:
    return tuple(members[:, n] for n in range(NETWORKS))
