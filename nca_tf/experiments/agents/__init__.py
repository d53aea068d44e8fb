"""bin/train_agent: PPO with or without memory and curiosity."""
