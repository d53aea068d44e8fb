"""Tasks that only a memory can solve, by name."""
