"""Weights from elsewhere and for elsewhere: files, names, layouts, programs.

Stands above checkpoints: an import ends in one, an export begins with one.
"""
