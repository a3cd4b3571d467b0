"""Knowledge distillation for JAX.

    import kdjax
    loss = kdjax.losses.kl_divergence(student_logits, teacher_logits, temperature=4.0)

Importing kdjax imports nothing else: `losses` and `supervision`, which need jax and
jaxtyping only, `methods` and `models` are imported when they are asked for.
"""

from kdjax.lazy_import import lazy_package

__version__ = "0.1.0"
__all__, __getattr__, __dir__ = lazy_package(
    __name__,
    losses="",
    methods="",
    models="",
    supervision="",
    types="",
    api="distill evaluate load sweep train SweepResult Trained",
)
