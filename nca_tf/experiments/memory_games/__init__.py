"""bin/compare_memory: no cell, LSTM and DNC as the memory of an agent."""
