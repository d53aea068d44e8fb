"""Who plays a real game, and what play leaves: rollouts, scores, films."""
