"""Agents that learn to act, and the statistics of their inputs."""

from nca_tf.agents.running_moments import RunningMoments

__all__ = ['RunningMoments']
