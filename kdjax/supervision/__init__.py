"""Supervision: what a student is trained by; needs jax and jaxtyping only.

    from kdjax import losses, supervision as sv
    rules = sv.Supervisor(temperature=sv.fixed(4.0), logits=(sv.probability_shift,))
    state = rules.temperature.init()
    signals = sv.signals(student_logits, teacher_logits, labels)
    s, state = sv.supervise(rules, state, signals)
    kl = losses.kl_divergence(student_logits, s.logits, s.temperature)
    loss = mean(s.weight * s.temperature**2 * kl)

`Signals` are what rules look at, a `Supervisor` is the rules, and a `Supervision` what
they made of the teacher, for each sample: a constant to the gradient.

Rules refuse numbers that are out of range, and labels unless traced, by a ValueError.
"""

from kdjax.lazy_import import lazy_package

__all__, __getattr__, __dir__ = lazy_package(
    __name__,
    adjustment="probability_shift shift_probabilities smoothed_label",
    ensemble="mean_of_logits mean_of_probabilities sum_of_logits",
    entropy="by_entropy",
    inputs="signals",
    memory="remembered",
    pipeline="Supervisor TemperatureRule reads fixed scheduled stateless supervise",
    revision="label_revision revision_weight where_wrong with_revision",
    temperature="by_confidence by_confusion by_confusion_of_probabilities",
)
