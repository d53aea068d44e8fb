"""bin/train_agent: PPO or REINFORCE, with or without memory and curiosity."""
