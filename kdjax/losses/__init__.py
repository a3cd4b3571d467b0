"""Losses: arrays in, one number per sample out; need jax and jaxtyping only.

    from kdjax import losses
    losses.kl_divergence(student_logits, teacher_logits, temperature=4.0)

Losses on logits take `[..., classes]` unnormalised log-probabilities and return
`[...]`, losses on features take maps `[batch, height, width, channels]` or vectors
`[batch, channels]` and return `[batch]`; of any float precision, in float32. None
averages over the batch, multiplies by the squared temperature or stops a gradient:
that is the caller's business. `where` is the classes that count, of losses between
samples the samples. Shapes that disagree, and values out of range where they are not
traced, raise ValueError. A new loss is a function in the file of its family and a name
in the list below.
"""

from kdjax.lazy_import import lazy_package

__all__, __getattr__, __dir__ = lazy_package(
    __name__,
    banks="draw_negatives draw_positives group_by_class updated_bank updated_queue",
    contrastive="contrastive_normaliser noise_contrastive queue_kl",
    correlation="batch_correlation batch_standardise class_correlation "
    "dist_between_classes dist_within_class standardise",
    decoupled="DecoupledParts decoupled_nontarget decoupled_target "
    "generalised_decoupled normalised_nontarget normalised_target",
    feature_boundaries="activation_boundary overhaul overhaul_margin",
    feature_gaussians="channel_moments variational_information vid_initial_rho",
    feature_statistics="flow_matrix flow_of_solution neuron_selectivity "
    "patch_similarity",
    features="attention_transfer factor_transfer feature_mean_squared_error "
    "hierarchical_context input_gradient_matching",
    limits="label_matching logit_matching mean_squared_error smooth_l1 squared_error",
    logits="cross_entropy kl_divergence kl_to_target",
    maps="adaptive_average_pool same_size",
    refined="label_correction masked_correlation raise_label sample_confidence",
    relations="correlation_congruence probabilistic_knowledge relational_angle "
    "relational_distance similarity_preserving",
    robust="clipped_probabilities early_learning_regularization "
    "generalized_cross_entropy reverse_cross_entropy",
    singular_vectors="singular_vector_rbf",
    transformed="magnitude_enhanced_kl shrink_margin transformed_teacher_matching "
    "transformed_teacher_weight",
    transport="class_similarity classifier_similarity transport_cost "
    "wasserstein_nontarget",
)
