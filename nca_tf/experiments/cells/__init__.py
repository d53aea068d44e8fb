"""bin/compare_cells: DNC, LSTM and an untrained M by the score."""
