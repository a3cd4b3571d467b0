"""Decodes images on the host, and cuts the crops of training and of evaluation."""
