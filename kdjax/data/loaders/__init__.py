"""Batches of a split: in memory, or streamed from disk."""
