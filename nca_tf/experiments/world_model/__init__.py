"""bin/train_world_model: the world model of a game."""
