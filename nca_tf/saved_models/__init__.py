"""SavedModels of V, M and whole agents, which need TensorFlow alone."""
