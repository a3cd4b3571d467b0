"""Readers of the official archives, one file a format; none writes to disk."""
