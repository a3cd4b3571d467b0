"""Runs that are killed at every moment, and started again until they end.

python -m tests.chaos: all 42 kills, as a table. tests/faults/test_kills.py has a few.
"""
