"""Sections of the report page, made of arrays; `kdjax.reporting.blocks` are its parts.

Charts are Vega-Lite by Altair, which is imported when one is drawn.
"""
