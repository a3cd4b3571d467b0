"""Which samples to learn from: noisy labels found out, and data selected by influence.

Malformed evidence, masks and labels and numbers out of range raise ValueError.
"""
