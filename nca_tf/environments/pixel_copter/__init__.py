"""PixelCopter of the PyGame Learning Environment: our own exact engine."""
