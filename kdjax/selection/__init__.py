"""Which samples to learn from: clean labels, and data selected by influence."""
