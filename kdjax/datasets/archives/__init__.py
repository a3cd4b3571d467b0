"""Readers of the official archives, one file a format; none writes to disk.

`kdjax.data.registry` says how to add one, and has the table.
"""
