"""Reads data sets that lie in the layout of TFDS, without TensorFlow."""
