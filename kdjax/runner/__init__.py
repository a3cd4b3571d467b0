"""One run in its directory: trainer, checkpoints, provenance, selection runs."""
