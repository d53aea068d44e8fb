"""Tasks that need a memory: sequences to copy, recall, sort or add up."""
