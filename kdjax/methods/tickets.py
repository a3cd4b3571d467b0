"""Winning tickets: a robust loss on the clean part of a noisy training set; no teacher.

T. Kim et al., "Winning Ticket in Noisy Image Classification", 2021, whose later form is
T. Kim, J. Ko, S. Cho, J. Choi, S.-Y. Yun, "FINE Samples for Learning with Noisy
Labels", NeurIPS 2021 (arXiv:2102.11628).

    L = mean_T l(s, y),   l that of ce, gce, sce or elr

T are the samples that a detector keeps: on the losses or the features of a proxy, a
network trained on the whole noisy set. Proxy and detector are the config's `stages`;
`config.data.keep` then cuts the training set down to T, as the authors' code does.

| symbol | argument                                   |
|--------|--------------------------------------------|
| l      | loss, with the numbers of it in parameters |
| T      | config.data.keep, or the run's selection   |

The authors retrain with the proxy's loss or, by default, with cross entropy.

Departs from the paper: nothing where T is cut out. Where T is selected anew while the
network trains (config.selection, as FINE does), the other samples stay in the batch at
weight 0: batch norm and elr's memory still see them.
"""

import inspect
from collections.abc import Mapping

from kdjax import contracts
from kdjax.methods import elr, gce, sce
from kdjax.methods.base import Method
from kdjax.methods.terms import hard_label, on_selected

REFERENCE = "Kim et al., Winning Ticket in Noisy Image Classification, 2021"


def _cross_entropy() -> Method:
    return Method(terms=(on_selected(hard_label(1.0)),))


_LOSSES = {"ce": _cross_entropy, "gce": gce.build, "sce": sce.build, "elr": elr.build}
_SIZES = ("num_examples", "num_classes")


def build(
    *,
    loss: str = "ce",
    parameters: Mapping | None = None,
    num_examples: int | None = None,
    num_classes: int | None = None,
) -> Method:
    """One of the robust losses, over the samples that were kept.

    Args:
      loss: "ce", "gce", "sce" or "elr".
      parameters: the loss's own numbers, such as {"q": 0.7} for "gce"; what is not
        there has that method's default.
      num_examples: size of the training split, for "elr".
      num_classes: of the labels, for "elr".
    """
    if loss not in _LOSSES:
        raise ValueError(
            f"tickets: loss is {loss!r}; expected one of {', '.join(_LOSSES)}."
        )
    numbers = dict(parameters or {})
    takes = inspect.signature(_LOSSES[loss]).parameters
    own = [name for name in takes if name not in _SIZES]
    for name in numbers:
        if name not in own:
            raise ValueError(
                f"tickets: parameters has {name!r}; the loss {loss!r} takes "
                f"{', '.join(own) or 'none'}.{contracts.nearest(name, own)}"
            )
    sizes = {"num_examples": num_examples, "num_classes": num_classes}
    for name in [name for name in _SIZES if name in takes]:
        if sizes[name] is None:
            raise ValueError(
                f"tickets: {name} is not given; the loss {loss!r} remembers every "
                "sample and needs it."
            )
        numbers[name] = sizes[name]
    return _LOSSES[loss](**numbers)
