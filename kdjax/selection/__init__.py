"""Which samples to learn from: noisy labels found out, and data chosen by influence."""
