"""bin/evaluate, bin/record_rollouts, bin/replay_traces: the real games."""
