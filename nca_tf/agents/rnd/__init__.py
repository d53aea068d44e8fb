"""Exploration by random network distillation."""
