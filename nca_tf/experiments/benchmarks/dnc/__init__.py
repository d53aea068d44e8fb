"""The DNC beside pytorch-dnc, deepmind/dnc and an LSTM."""
