"""Readers of the official archives; `kdjax.data.registry` says how to add one."""
