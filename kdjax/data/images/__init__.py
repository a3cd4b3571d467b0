"""Decodes and crops images on the host.

`lazy` opens an image of a split; `crops` chooses the box; `fast_crop` cuts it for
training and `decode` for evaluation.
"""
