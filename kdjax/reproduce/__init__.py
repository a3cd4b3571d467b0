"""The papers' studies: what they train, what they measured, and the pages of it."""
