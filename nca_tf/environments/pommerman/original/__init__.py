"""The original Pommerman package, where it is installed."""
