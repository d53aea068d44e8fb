"""The DNC over a whole sequence: one gradient by hand, compiled access."""
