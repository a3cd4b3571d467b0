"""Losses: arrays in, one number per sample out; need jax and jaxtyping only.

    from kdjax import losses
    losses.kl_divergence(student_logits, teacher_logits, temperature=4.0)

Every loss takes `[batch, classes]` unnormalised log-probabilities in any float
precision and returns `[batch]` in float32. None averages over the batch, multiplies by
the squared temperature or stops a gradient: that is the caller's business. Shapes that
disagree, and values out of range where they are not traced, raise ValueError. A new
loss is a function in the file of its family and a name in the list below.
"""

from kdjax.lazy_import import lazy_package

__all__, __getattr__, __dir__ = lazy_package(
    __name__,
    decoupled="DecoupledParts decoupled_nontarget decoupled_target "
    "generalised_decoupled normalised_nontarget normalised_target",
    limits="label_matching logit_matching mean_squared_error smooth_l1 squared_error",
    logits="cross_entropy kl_divergence kl_to_target",
    refined="label_correction masked_correlation raise_label sample_confidence",
    robust="clipped_probabilities early_learning_regularization "
    "generalized_cross_entropy reverse_cross_entropy",
    transformed="magnitude_enhanced_kl shrink_margin transformed_teacher_matching "
    "transformed_teacher_weight",
    transport="class_similarity classifier_similarity transport_cost "
    "wasserstein_nontarget",
)
