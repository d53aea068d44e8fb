"""bin/play_dream: a dream as a film or at the keyboard."""
