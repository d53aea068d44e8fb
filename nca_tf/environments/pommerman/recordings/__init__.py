"""Recorded games of Pommerman: the original's JSON, traces, their replay."""
