"""Supervision: what a student is taught with; needs jax and jaxtyping only.

from kdjax.supervision import pipeline, temperature
"""
