"""Proximal policy optimisation with streams of values."""
