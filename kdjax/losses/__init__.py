"""Losses: arrays in, one number per sample out; need jax and jaxtyping only.

    from kdjax.losses import logits

Every loss returns `[batch]` in float32 whatever comes in. None averages over the batch,
multiplies by the squared temperature or stops a gradient: that is the caller's
business.
"""
