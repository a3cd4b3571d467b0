"""Compares finished students with their teacher."""
