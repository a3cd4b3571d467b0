"""Augmentation inside the compiled step."""
