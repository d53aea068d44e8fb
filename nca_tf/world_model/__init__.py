"""V, M and what they share: codec, mixture, forecasts (Ha and Schmidhuber)."""
