"""Sections of a report on what networks answer to images, made of arrays."""
