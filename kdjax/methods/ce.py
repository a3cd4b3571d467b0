"""Cross entropy with the labels: trains the teachers, and is each student's baseline.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
Architecture for Computer Vision", CVPR 2016 (arXiv:1512.00567), section 7.

    L = - sum_k y'_k log softmax(s)_k,   y' = (1 - eps) y + eps / K

| symbol | argument        |
|--------|-----------------|
| eps    | label_smoothing |

Departs from the paper: nothing. The run's selection, if it has one, says which samples
are averaged over.
"""

from kdjax import contracts
from kdjax.methods.base import Method
from kdjax.methods.terms import hard_label, on_selected

REFERENCE = "Szegedy et al., Rethinking the Inception Architecture, CVPR 2016"


def build(*, label_smoothing: float = 0.0) -> Method:
    """Cross entropy alone, over the selected samples; no teacher.

    Args:
      label_smoothing: share of the label spread evenly over all classes, from 0 to 1.
    """
    contracts.fraction("ce", "label_smoothing", label_smoothing)
    return Method(terms=(on_selected(hard_label(1.0, label_smoothing)),))
