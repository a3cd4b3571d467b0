"""DivideMix: two networks, semi-supervised on what the other takes for noise.

J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with Noisy Labels as
Semi-supervised Learning", ICLR 2020 (arXiv:2002.07394). With a detector of clean
labels: T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021.

    p_n = mean of softmax(s_n) over two crops;  w_n = weight as labelled, 0: unlabelled
    t_n = sharpen(w_n y + (1 - w_n) p_n) if w_n > 0 else sharpen((p_1 + p_2) / 2)
    sharpen(p)_k = p_k^(1/T) / sum_j p_j^(1/T)
    mixup: l ~ Beta(alpha, alpha), l <- max(l, 1 - l); image and t with a shuffled row's
    L = sum_n  mean over labelled rows of CE(s_n, t_n)
             + lambda_u r(e) mean over unlabelled rows of mean_k (softmax(s_n) - t_n)^2
             + KL(uniform || mean over all rows of softmax(s_n))
    r(e) = clip((e - warm-up) / ramp, 0, 1)
    warm-up: L = sum_n CE(s_n, y), for asymmetric noise - H(softmax(s_n)), H the entropy

| symbol   | argument          |
|----------|-------------------|
| w_n      | sample info clean |
| T        | temperature       |
| alpha    | mixup             |
| lambda_u | unlabelled_weight |
| warm-up  | warmup_epochs     |
| ramp     | ramp_epochs       |
| - H      | entropy_penalty   |

Settings of both codes: warm-up 10 epochs on CIFAR-10, 30 on CIFAR-100; lambda_u 25, 0
for symmetric noise of 20 % and asymmetric noise of 40 %. w_n is the posterior of the
other network's mixture; the selection "dividemix" computes it.

Departs from the paper: one batch holds labelled and unlabelled samples as they come,
for both networks alike, where the authors draw 64 and 64 for each network. So both are
updated at once, each as if the other had not moved, not one for an epoch after the
other. A batch of 128 gives the same 256 rows a step; they are trained on in the warm-up
too, unmixed. Targets are predicted with running statistics for both networks, where the
authors leave the one in training in training mode.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from kdjax import contracts, losses
from kdjax.losses.numerics import as_float32
from kdjax.methods.base import Method, Mixture, Term
from kdjax.methods.denominators import normalise_weights

REFERENCE = "Li et al., DivideMix, ICLR 2020"

NETWORKS = 2


def build(
    *,
    num_classes: int,
    steps_per_epoch: float,
    warmup_epochs: float,
    temperature: float = 0.5,
    mixup: float = 4.0,
    unlabelled_weight: float = 25.0,
    ramp_epochs: float = 16.0,
    entropy_penalty: bool = False,
    seed: int = 0,
) -> Method:
    """Cross entropy until the warm-up ends, semi-supervised mixup from there on.

    Args:
      num_classes: of the labels.
      steps_per_epoch: of the run; need not be whole.
      warmup_epochs: >= 0; until then the sample info "clean" is not read.
      temperature: of sharpening, > 0; at 1 it does nothing.
      mixup: both parameters of the Beta distribution, > 0.
      unlabelled_weight: of the squared error on unlabelled rows, >= 0.
      ramp_epochs: in which that weight climbs from 0, > 0.
      entropy_penalty: penalise confidence in the warm-up, for asymmetric noise.
      seed: of the mixing.
    """
    contracts.positive("dividemix", "temperature", temperature)
    contracts.positive("dividemix", "mixup", mixup)
    contracts.flag("dividemix", "entropy_penalty", entropy_penalty)
    contracts.positive("dividemix", "ramp_epochs", ramp_epochs)
    contracts.not_negative("dividemix", "warmup_epochs", warmup_epochs)
    contracts.not_negative("dividemix", "unlabelled_weight", unlabelled_weight)
    warmup_steps = math.ceil(warmup_epochs * steps_per_epoch)

    def prepare(predict, batch, sample_info, step):
        """In the warm-up nothing is predicted and nothing is mixed."""
        label, clean = jax.nn.one_hot(batch.label, num_classes), sample_info["clean"]
        _check_clean(batch.label, clean)
        images = jnp.concatenate([batch.image, batch.second])

        def divided():
            logits = as_float32(predict(images).member_logits)
            target = targets(jax.nn.softmax(logits), label, clean, temperature)
            key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), step)
            return mixed(images, target, clean, mixup, key)

        return jax.lax.cond(
            step < warmup_steps, lambda: _unmixed(images, label), divided
        )

    weight, ramp_steps = unlabelled_weight, ramp_epochs * steps_per_epoch
    return Method(
        terms=_terms(warmup_steps, ramp_steps, weight, entropy_penalty),
        mixture=Mixture(prepare),
        networks=NETWORKS,
        needs=("clean",),
    )


def _terms(
    warmup_steps: int,
    ramp_steps: float,
    unlabelled_weight: float,
    entropy_penalty: bool,
) -> tuple[Term, ...]:
    """In the warm-up every row is labelled, and `labelled` is plain cross entropy."""

    def after(step):
        return (step >= warmup_steps).astype(jnp.float32)

    def ramp(step):
        since = (step - warmup_steps).astype(jnp.float32)
        return unlabelled_weight * jnp.clip(since / ramp_steps, 0.0, 1.0)

    terms = (
        Term("labelled", 1.0, _labelled),
        Term("unlabelled", ramp, _unlabelled),
        Term("uniform", after, _uniform),
    )
    if entropy_penalty:
        terms += (Term("confidence", lambda step: 1.0 - after(step), _confidence),)
    return terms


def targets(
    probabilities: Float[Array, "rows networks classes"],
    label: Float[Array, "batch classes"],
    clean: Float[Array, "batch networks"],
    temperature: float,
) -> Float[Array, "batch networks classes"]:
    """Refined labels where a network has one, guesses of both networks elsewhere.

    `probabilities` are of the first crop of all samples, then of the second; `clean` is
    the weight of the one-hot label for each network, 0 to 1; 0 is unlabelled.
    """
    own = jnp.mean(jnp.stack(jnp.split(probabilities, 2)), axis=0)
    guessed = jnp.mean(own, axis=1, keepdims=True)
    weight = as_float32(clean)[:, :, None]
    refined = weight * label[:, None] + (1.0 - weight) * own
    target = jnp.where(weight > 0, refined, guessed)
    # p^(1/T) over its sum, without underflow where T is small.
    return jax.nn.softmax(jnp.log(target) / temperature)


def mixed(
    images: Float[Array, "rows height width channels"],
    target: Float[Array, "batch networks classes"],
    clean: Float[Array, "batch networks"],
    mixup: float,
    key: Array,
):
    """Images of each network, and the targets that go with them; rows = 2 * batch.

    Every row keeps the larger share of its own, and the side it is on: labelled or not.
    """
    draw, shuffle = jax.random.split(key)
    own = jax.random.beta(draw, mixup, mixup, (NETWORKS,), jnp.float32)
    own = jnp.maximum(own, 1.0 - own)
    orders = jax.vmap(lambda key: jax.random.permutation(key, len(images)))(
        jax.random.split(shuffle, NETWORKS)
    )

    def mix(rows, n):
        return own[n] * rows + (1.0 - own[n]) * rows[orders[n]]

    target = jnp.concatenate([target, target])
    columns = [mix(target[:, n], n) for n in range(NETWORKS)]
    labelled = as_float32(clean > 0)
    return tuple(mix(images, n) for n in range(NETWORKS)), {
        "target": jnp.stack(columns, axis=1),
        "labelled": jnp.concatenate([labelled, labelled]),
    }


def _unmixed(images: Array, label: Float[Array, "batch classes"]):
    """What `mixed` gives, of the images as they are and the labels as they came."""
    target = jnp.stack([jnp.concatenate([label, label])] * NETWORKS, axis=1)
    labelled = jnp.ones((len(images), NETWORKS), jnp.float32)
    return (images,) * NETWORKS, {"target": target, "labelled": labelled}


def _check_clean(label: Int[Array, " batch"], clean: Array) -> None:
    axes = contracts.shapes(
        "dividemix", label=(label, "batch"), clean=(clean, "batch networks")
    )
    if axes["networks"] != NETWORKS:
        raise ValueError(
            f"dividemix: clean has networks={axes['networks']}; expected a column for "
            f"each of the {NETWORKS} networks."
        )


def _over_networks(one):
    """The values of both networks, summed: each network's gradient is its own."""

    def values(inputs):
        members = as_float32(inputs.student.member_logits)
        target, labelled = inputs.mixed["target"], inputs.mixed["labelled"]
        return sum(
            one(members[:, n], target[:, n], labelled[:, n]) for n in range(NETWORKS)
        )

    return values


@_over_networks
def _labelled(logits, target, labelled):
    return normalise_weights(labelled) * losses.cross_entropy(logits, target)


@_over_networks
def _unlabelled(logits, target, labelled):
    distance = jnp.mean((jax.nn.softmax(logits) - target) ** 2, axis=-1)
    return normalise_weights(1.0 - labelled) * distance


@_over_networks
def _uniform(logits, target, labelled):
    """KL(uniform || mean prediction), the same value in every row.

    From log probabilities: a class that no row predicts has a mean of 0 in float32.
    """
    log_p = jax.nn.log_softmax(logits)
    rows, classes = log_p.shape
    log_mean = jax.nn.logsumexp(log_p, axis=0) - math.log(rows)
    return jnp.full(rows, -math.log(classes) - jnp.mean(log_mean), jnp.float32)


@_over_networks
def _confidence(logits, target, labelled):
    """Minus the entropy of the prediction."""
    log_p = jax.nn.log_softmax(logits)
    return jnp.sum(jnp.exp(log_p) * log_p, axis=-1)
