"""Agents that learn to act, and what they need to know of their inputs."""
