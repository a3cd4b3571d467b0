"""Configs to objects. The only reader of configs: below it, plain arguments."""
