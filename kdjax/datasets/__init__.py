"""Prepares data sets offline: archives, folders, downloads, writers."""
