"""Knowledge distillation for JAX. Import the floor you need: `from kdjax.losses import
logits`."""

__version__ = "0.1.0"
