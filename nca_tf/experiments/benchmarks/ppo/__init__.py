"""PPO beside a CleanRL-style one in PyTorch and stable-baselines3."""
