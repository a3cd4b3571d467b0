"""Multi-level logit distillation: samples, batch and classes, at five temperatures.

Y. Jin, J. Wang, D. Lin, "Multi-Level Logit Distillation", CVPR 2023.

    KD(v) = tau^2 KL(t_v / tau || s_v / tau),   P = softmax(logits / tau)
    B(v) = ||P_t P_t' - P_s P_s'||^2 / n,   C(v) = ||P_t' P_t - P_s' P_s||^2 / classes

w is the weak view, the usual crop, s the strong one, another crop with RandAugment.

form="public", what the authors' code trains with, and the published numbers belong to:

    L = label_weight [CE(s_w, y) + CE(s_s, y)]
        + weight [(sum_T m KD(w)) + (sum_T1 KD(s)) + (sum_T2 KD(w))
                  + sum_T m B(w) + sum_T m' C(w)]

T1 are the first three temperatures, T2 the others: there the code takes the weak view
again. m is the share of the batch whose teacher's confidence is at most the median, m'
that of the classes by the sum of the teacher's probabilities: about 1/2. The code
means to mask samples and classes, and multiplies each mask onto a mean.

form="complete", the three levels on both views, without masks:

    L = label_weight [CE(s_w, y) + CE(s_s, y)]
        + weight sum_T [KD(w) + KD(s) + B(w) + B(s) + C(w) + C(s)]

| symbol | argument     |
|--------|--------------|
| T      | temperatures |

The authors' settings on CIFAR-100: label_weight .1, weight .9 and T (4, 3, 5, 2, 6) for
all pairs; a learning rate of .025 where the usual one is .05, and of .01 or .0025 for
480 epochs for the ShuffleNets and MobileNetV2. The strong view costs a second forward
pass of both networks. C grows with the square of the batch size, 64 there.

Departs from the paper: both forms are the authors' code, which was not compared with
the text. A run that selects samples has the relations of the selected ones alone;
m and m' stay those of the whole batch.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from kdjax import contracts, losses
from kdjax.methods.base import NOTHING, Method, Term
from kdjax.methods.crld import labels_of_views, views
from kdjax.supervision.pipeline import Supervisor

REFERENCE = "Jin et al., Multi-Level Logit Distillation, CVPR 2023"

FORMS = ("public", "complete")
TEMPERATURES = (4.0, 3.0, 5.0, 2.0, 6.0)
STRONG = 3  # of the temperatures; at the others the public code has the weak view


def build(
    *,
    form: str = "public",
    weight: float = 0.9,
    label_weight: float = 0.1,
    temperatures: tuple[float, ...] = TEMPERATURES,
) -> Method:
    """Cross entropy on both views, and the three levels.

    Args:
      form: "public" or "complete".
      weight: of all three levels, > 0.
      label_weight: of the label on each view, >= 0; at 0 it is left out.
      temperatures: each > 0, finite; in the public form the first three are those of
        the strong view.
    """
    _check(form, weight, temperatures)
    public = form == "public"

    def samples(inputs):
        weak, strong = views(inputs)
        first = _instances(weak, temperatures)
        if not public:
            return first + _instances(strong, temperatures)
        second = _instances(strong, temperatures[:STRONG])
        second += _instances(weak, temperatures[STRONG:])
        return _share(weak[1]) * first + second

    def relation(loss, share):
        def values(inputs):
            weak, strong = views(inputs)
            where = inputs.supervision.weight
            value = sum(loss(*weak, tau, where=where) for tau in temperatures)
            if public:
                return share(weak[1]) * value
            return value + sum(loss(*strong, tau, where=where) for tau in temperatures)

        return values

    batch = relation(losses.batch_correlation, _share)
    classes = relation(losses.class_correlation, _class_share)
    return Method(
        terms=(
            *labels_of_views("mlkd", label_weight),
            _weighted("samples", weight, samples),
            _weighted("batch", weight, batch),
            _weighted("classes", weight, classes),
        ),
        supervisor=Supervisor(),
        second_view="randaugment",
    )


def _check(form: str, weight: float, temperatures: tuple[float, ...]) -> None:
    if form not in FORMS:
        raise ValueError(
            f"mlkd: form is {form!r}; expected one of {', '.join(FORMS)}."
            f"{contracts.nearest(form, FORMS)}"
        )
    contracts.positive("mlkd", "weight", weight)
    contracts.all_positive("mlkd", "temperatures", temperatures)
    if not temperatures:
        raise ValueError("mlkd: temperatures is empty; expected at least one.")


def _weighted(name: str, weight: float, values) -> Term:
    def weighted(inputs):
        return inputs.supervision.weight * values(inputs)

    return Term(name, weight, weighted, NOTHING, weighted=True)


def _instances(view, temperatures) -> Float[Array, " batch"]:
    each = [tau**2 * losses.kl_divergence(*view, tau) for tau in temperatures]
    return sum(each, jnp.zeros(view[0].shape[:1], jnp.float32))


def _share(teacher_logits) -> Float[Array, ""]:
    """Of the samples, those whose confidence is at most the median."""
    return _at_most_median(jnp.max(_predictions(teacher_logits), axis=-1))


def _class_share(teacher_logits) -> Float[Array, ""]:
    """Of the classes, those whose sum of probabilities is at most the median."""
    return _at_most_median(jnp.sum(_predictions(teacher_logits), axis=0))


def _at_most_median(x: Float[Array, " n"]) -> Float[Array, ""]:
    return jnp.mean(x <= jnp.median(x), dtype=jnp.float32)


def _predictions(logits) -> Float[Array, "batch classes"]:
    return jax.nn.softmax(logits.astype(jnp.float32))
