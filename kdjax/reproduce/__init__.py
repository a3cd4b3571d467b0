"""Long runs on an accelerator: what they train, in pieces, and what they measured."""
