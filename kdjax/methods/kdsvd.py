"""KDSVD: relations between the top singular vectors of consecutive levels.

S. H. Lee, D. H. Kim, B. C. Song, "Self-supervised Knowledge Distillation Using Singular
Value Decomposition", ECCV 2018 (arXiv:1807.06819).

    L = CE(s, y) + b sum_{l>0} sum (R^s_l - R^t_l)^2
    R_l,ijm = exp(-(v^l_im - v^(l-1)_jm)^2 / 8)

v^l are the first k right singular vectors of level l; `losses.singular_vector_rbf` has
the details.

| symbol | argument                           |
|--------|------------------------------------|
| b      | weight                             |
| k      | k                                  |
| levels | student_features, teacher_features |

Two losses have this name. form "mdistiller", the default, decomposes [channels *
height, width] of a sample, for networks of any channels; weight 1 and k 1 are those of
mdistiller's configuration. form "repdistiller" decomposes [height * width, channels]
and needs equal channels; its table has no number of either (tuned per pair: no).

Departs from the paper: a weighted sum with cross entropy, as in both public codes, in
place of the paper's own way of training both tasks; the signs of the teacher's vectors
are fixed, where those codes take what the decomposition gives.
"""

from kdjax import losses
from kdjax.losses.maps import check_choice
from kdjax.methods.base import Method
from kdjax.methods.features import STAGES, beside_labels, pairs_of

REFERENCE = "Lee et al., Self-supervised Knowledge Distillation Using SVD, ECCV 2018"


def build(
    *,
    weight: float = 1.0,
    k: int = 1,
    form: str = "mdistiller",
    student_features: tuple[str, ...] = STAGES,
    teacher_features: tuple[str, ...] = STAGES,
) -> Method:
    """Cross entropy and the relations of singular vectors.

    Args:
      weight: > 0.
      k: vectors of a level, from 1.
      form: "mdistiller" or "repdistiller".
      student_features, teacher_features: maps from shallow to deep, two or more, as
        many of both; of equal widths, or channels, by the form.
    """
    check_choice("kdsvd", "form", form, ("mdistiller", "repdistiller"))
    if k < 1:
        raise ValueError(f"kdsvd: k is {k!r}; expected 1 or more.")
    pairs = pairs_of("kdsvd", student_features, teacher_features, least=2)

    def values(inputs):
        student = [inputs.student.features[s] for s, _ in pairs]
        teacher = [inputs.teacher.features[t] for _, t in pairs]
        return losses.singular_vector_rbf(student, teacher, k, form)

    return beside_labels("kdsvd", "singular_vectors", weight, values, pairs)
