"""Grids of settings: axes, trials, packing of trials into programs."""
