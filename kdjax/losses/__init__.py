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
    banks="draw_negatives draw_others draw_positives group_by_class updated_bank "
    "updated_queue",
    contrastive="contrastive_normaliser noise_contrastive queue_kl",
    correlation="batch_correlation batch_standardise class_correlation "
    "dist_between_classes dist_within_class standardise",
    limits="label_matching logit_matching mean_squared_error smooth_l1 squared_error",
    logits="cross_entropy kl_divergence kl_to_target",
    relations="correlation_congruence probabilistic_knowledge relational_angle "
    "relational_distance similarity_preserving",
    robust="clipped_probabilities early_learning_regularization "
    "generalized_cross_entropy reverse_cross_entropy",
)
