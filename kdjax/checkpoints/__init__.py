"""Checkpoints with Orbax, its only importer: atomic, checked, resumable.

A step holds the items `variables` (parameters and batch statistics: all that a teacher
needs), `training` (step, optimizer and supervision state), `connectors` where a method
has some, `ema` where the weights are averaged, and `meta` (identity and checksums).
Orbax neither notices a flipped bit nor falls back from a damaged step; both are done
here.
"""

from kdjax.checkpoints.checkpointer import Checkpointer
from kdjax.checkpoints.checksums import digest
from kdjax.checkpoints.reading import (
    WEIGHTS,
    read_connectors,
    read_identity,
    read_meta,
    read_variables,
)
from kdjax.checkpoints.storage import StorageError

__all__ = ["WEIGHTS", "Checkpointer", "StorageError", "digest", "read_connectors"]
__all__ += ["read_identity", "read_meta", "read_variables"]
