"""kdjax: knowledge distillation for JAX. Import the floor you need, e.g. `from kdjax.losses import logits`."""

__version__ = "0.1.0"
