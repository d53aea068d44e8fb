"""A memory task in the graph: name the symbol of a few steps ago."""

from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf


class State(NamedTuple):
  """Lanes of the task.

  Attributes:
    symbols: The present one and those before it, the oldest last, int32 [B, K].
    steps: Of the episode, int32 [B].
  """

  symbols: tf.Tensor
  steps: tf.Tensor


class Recall:
  """A batched environment; see `agents.collector` for its two functions.

  Observations are the present symbol, one-hot; an action names one, and is
  right if it is that of `delay` steps ago. The rewards of an episode are 1 / L
  for each right action and -1 / L for each wrong one, L of them; before there
  was such a symbol they are 0.
  """

  def __init__(self, symbols: int = 4, delay: int = 4, length: int = 64):
    """Takes how many symbols there are, the delay and an episode's steps."""
    self._symbols, self._delay, self.time_limit = symbols, delay, length
    self.observation_space = gymnasium.spaces.Box(0, 1, (symbols,), np.float32)
    self.action_space = gymnasium.spaces.Discrete(symbols)

  def reset(self, lanes: int, seed):
    """Draws the first symbols."""
    shape = [lanes, self._delay + 1]
    state = State(self._draw(shape, seed), tf.zeros([lanes], tf.int32))
    return state, self._observe(state)

  def step(self, state: State, action, seed):
    """Judges the actions and draws the next symbols."""
    is_right = action == state.symbols[:, -1]
    size = 1 / (self.time_limit - self._delay)
    reward = tf.where(is_right, size, -size)
    reward = tf.where(state.steps < self._delay, 0.0, reward)
    drawn = self._draw([tf.shape(action)[0], 1], seed)
    symbols = tf.concat([drawn, state.symbols[:, :-1]], 1)
    state = State(symbols, state.steps + 1)
    terminated = state.steps >= self.time_limit
    never = tf.zeros_like(terminated)
    return state, self._observe(state), reward, terminated, never

  def _draw(self, shape, seed):
    return tf.random.stateless_uniform(
      shape, seed, 0, self._symbols, dtype=tf.int32
    )

  def _observe(self, state):
    return tf.one_hot(state.symbols[:, 0], self._symbols)
