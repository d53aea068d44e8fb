"""CMA-ES beside pycma and evosax."""
