"""Decodes and crops images on the host."""
