"""Contrastive representation distillation: each sample against 16384 of other classes.

Y. Tian, D. Krishnan, P. Isola, "Contrastive Representation Distillation", ICLR 2020
(arXiv:1910.10699).

    h(a, m) = exp(<a, m> / tau) / Z,   c = K / n
    v(a, M) = - log(h(a, M_+) / (h(a, M_+) + c)) - sum_K log(c / (h(a, M_-) + c))
    L = CE(s, y) + weight (v(e_s, M_t) + v(e_t, M_s))
    M_i <- u / ||u||,   u = momentum M_i + (1 - momentum) e_i

e are embeddings of both networks' features, linear and of unit length, both trained. M
are banks of the embeddings of all n training samples, one for each network: student
anchors are contrasted with the teacher's bank and teacher anchors with the student's,
before the banks are renewed. Negatives are drawn anew in each step, from the samples of
other classes. Z is a constant of each side, computed on the first batch.

| symbol   | argument    |
|----------|-------------|
| K        | negatives   |
| tau      | temperature |
| width    | width       |
| momentum | momentum    |

RepDistiller's numbers on CIFAR-100 have weight .8, K 16384, tau .07, width 128,
momentum .5 and the mode "exact", the same for all 13 pairs; with KD beside it: weight
.8 and KD of weight 1.

`mode` says which row is a sample's positive: "exact" its own, "relax" that of a random
sample of its class. Both are of the authors' code.

Departs from the paper: negatives are drawn with repetition, where the authors' code
repeats only where other classes have fewer than K samples. The constant 1e-7 beside c
is that of the authors' code. The banks need 8 width bytes a sample, divided over
devices, and a step a few times 4 batch n bytes for the similarities with all samples.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from kdjax import contracts, losses
from kdjax.losses.banks import ClassGroups
from kdjax.methods.base import NOTHING, Memory, Method, Term
from kdjax.methods.terms import hard_label
from kdjax.models.connectors import LinearEmbeddings, from_module
from kdjax.types import MemoryInputs, PyTree

REFERENCE = "Tian et al., Contrastive Representation Distillation, ICLR 2020"

MODES = ("exact", "relax")
SIDES = (("student", "teacher"), ("teacher", "student"))  # of anchors, of the bank
ROWS = 256  # the banks' rows are a multiple of it, which devices divide evenly
_EPS = 1e-7


def build(
    *,
    train_labels: np.ndarray,
    num_classes: int,
    weight: float = 0.8,
    negatives: int = 16384,
    mode: str = "exact",
    temperature: float = 0.07,
    momentum: float = 0.5,
    width: int = 128,
    feature: str = "pooled",
    seed: int = 0,
) -> Method:
    """Cross entropy and the contrast in both directions.

    Args:
      train_labels: of the training split, integers; `Batch.index` points into it.
      num_classes: of the labels.
      weight: of each direction, > 0.
      negatives: drawn for each sample of a batch, >= 1.
      mode: "exact" or "relax".
      temperature: > 0, finite.
      momentum: of the banks, from 0 to 1.
      width: of the embeddings, >= 1.
      feature: [batch, channels] of both networks.
      seed: of the banks' first rows.
    """
    contracts.positive("crd", "weight", weight)
    if mode not in MODES:
        raise ValueError(
            f"crd: mode is {mode!r}; expected one of {', '.join(MODES)}."
            f"{contracts.nearest(mode, MODES)}"
        )
    contracts.positive("crd", "temperature", temperature)
    contracts.fraction("crd", "momentum", momentum)
    for name, number in (("negatives", negatives), ("width", width)):
        if number < 1:
            raise ValueError(f"crd: {name} is {number}; expected at least 1.")
    groups = _grouped(np.asarray(train_labels), num_classes)
    banks = _Banks(groups, negatives, mode == "exact", temperature, momentum, width)
    terms = (_contrast(*sides, weight, banks) for sides in SIDES)
    embeddings = LinearEmbeddings(normalise=True, width=width, feature=feature)
    return Method(
        terms=(hard_label(1.0), *terms),
        memory=Memory(lambda: banks.init(seed), banks.update, sharded=True),
        connectors={"embeddings": from_module(embeddings)},
        student_features=(feature,),
        teacher_features=(feature,),
    )


@dataclasses.dataclass(frozen=True)
class _Banks:
    """The memory: a bank and a normaliser of each side, and what is drawn from it."""

    groups: ClassGroups  # of NumPy arrays
    negatives: int
    exact: bool
    temperature: float
    momentum: float
    width: int

    @property
    def samples(self) -> int:
        return len(self.groups.order)

    @property
    def rows(self) -> int:
        return -(-self.samples // ROWS) * ROWS

    def init(self, seed: int) -> dict[str, Array]:
        """Rows of U(-b, b) with b = sqrt(3 / width), and normalisers not yet known."""
        keys = jax.random.split(jax.random.key(seed, impl="threefry2x32"))
        shape, bound = (self.rows, self.width), (3 / self.width) ** 0.5
        state = {}
        for (side, _), key in zip(SIDES, keys, strict=True):
            rows = jax.random.uniform(key, shape, jnp.float32, -bound, bound)
            state[f"{side}_bank"] = rows
            state[f"{side}_normaliser"] = jnp.zeros((), jnp.float32)
        return state

    def update(
        self, state: PyTree, inputs: MemoryInputs
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """(the banks as they were, normalisers and rows to compare; the next state)."""
        embedded = inputs.connected["embeddings"]
        key, other = jax.random.split(inputs.key)
        groups = ClassGroups(*map(jnp.asarray, self.groups))
        labels, index = inputs.labels, inputs.index
        rows = {
            "positives": index
            if self.exact
            else losses.draw_positives(other, groups, labels),
            "negatives": losses.draw_negatives(key, groups, labels, self.negatives),
        }
        normalisers = self._normalisers(state, embedded, rows)
        banks = {
            f"{side}_bank": losses.updated_bank(
                state[f"{side}_bank"], index, embedded[side], self.momentum
            )
            for side, _ in SIDES
        }
        return state | normalisers | rows, banks | normalisers

    def _normalisers(self, state, embedded, rows) -> dict[str, Array]:
        """Those of the first batch, computed in the step in which they are still 0."""

        def first():
            return {
                f"{side}_normaliser": losses.contrastive_normaliser(
                    embedded[side],
                    state[f"{bank}_bank"],
                    *(rows["positives"], rows["negatives"]),
                    self.temperature,
                )
                for side, bank in SIDES
            }

        old = {
            name: state[name] for name in (f"{side}_normaliser" for side, _ in SIDES)
        }
        computed = jnp.all(jnp.stack(list(old.values())) > 0)
        return jax.lax.cond(computed, lambda: old, first)


def _contrast(side: str, bank: str, weight: float, banks: _Banks) -> Term:
    # c and Z have the number of all rows; it cancels, but for the constant.
    eps = _EPS * banks.samples / banks.rows

    def values(inputs):
        remembered = inputs.remembered
        return losses.noise_contrastive(
            inputs.connected["embeddings"][side],
            remembered[f"{bank}_bank"],
            *(remembered["positives"], remembered["negatives"]),
            remembered[f"{side}_normaliser"],
            banks.temperature,
            eps,
        )

    return Term(f"{side}_contrast", weight, values, NOTHING)


def _grouped(labels: np.ndarray, num_classes: int) -> ClassGroups:
    """`losses.group_by_class` on the host."""
    contracts.shapes("crd", train_labels=(labels, "samples"))
    contracts.labels_in_range("crd", labels, num_classes)
    size = np.bincount(labels, minlength=num_classes).astype(np.int32)
    if size.max(initial=0) == len(labels):
        raise ValueError(
            "crd: train_labels holds fewer than two classes; expected at least two, "
            "since negatives are of other classes."
        )
    order = np.argsort(labels, kind="stable").astype(np.int32)
    return ClassGroups(order, np.cumsum(size, dtype=np.int32) - size, size)
