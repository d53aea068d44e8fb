"""Grids in the graph."""
