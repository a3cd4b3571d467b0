"""Distillation from a teacher that learned from noisy labels, or too little.

T. Kim, J. Oh, N. Kim, S. Cho, S.-Y. Yun, "Comparing Kullback-Leibler Divergence and
Mean Squared Error Loss in Knowledge Distillation", IJCAI 2021 (arXiv:2105.08919).

    L = tau^2 KL(softmax(t / tau) || softmax(s / tau))         tau > 1
    L = tau KL(softmax(t / tau) || softmax(s / tau))           tau <= 1, with the fix

The student sees no label, so noise reaches it through the teacher alone; a temperature
near 0 asks for the teacher's class and nothing else. Noise, or a short training of the
teacher, is the business of the run that trains it.

| symbol             | argument              |
|--------------------|-----------------------|
| tau                | temperature           |
| 1 / tau at tau <=1 | small_temperature_fix |

The paper finds temperatures up to 1 best, and 0.5 clearly so under noise.

Departs from the paper: the fix, described but not in the authors' code, is on. Their
noise and the point at which they stop the teacher are known in part only.
"""

from kdjax import contracts
from kdjax.methods import kd
from kdjax.methods.base import Method

REFERENCE = "Kim et al., Comparing KL and MSE in Knowledge Distillation, IJCAI 2021"


def build(*, temperature: float = 0.5, small_temperature_fix: bool = True) -> Method:
    """The softened teacher alone.

    Args:
      temperature: > 0; `float("inf")` is logit matching.
      small_temperature_fix: multiplies the loss by 1 / temperature where temperature <=
        1; without it the loss vanishes as the temperature tends to 0.
    """
    contracts.positive("noisy_teacher", "temperature", temperature, infinity=True)
    contracts.flag("noisy_teacher", "small_temperature_fix", small_temperature_fix)
    return kd.build(
        alpha=1.0, temperature=temperature, small_temperature_fix=small_temperature_fix
    )
