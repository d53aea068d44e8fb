"""bin/benchmark: speed and quality beside other libraries."""
