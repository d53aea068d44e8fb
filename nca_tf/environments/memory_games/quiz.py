"""Episodes whose observations and right answers are known from their start.

What the agent does changes its reward and nothing else, so an episode is drawn
whole when it begins, in the graph.

Letters: B lanes, T steps of an episode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import tensorflow as tf

from nca_tf import checks

NO_QUESTION = -1


class Sheet(NamedTuple):
  """Episodes.

  Attributes:
    observations: [B, T + 1, ...], the last one after the end.
    answers: The right action of each step, or NO_QUESTION; int32 [B, T].
  """

  observations: tf.Tensor
  answers: tf.Tensor


class State(NamedTuple):
  """Where lanes are in their episodes.

  Attributes:
    sheet: The episodes.
    steps: Played of them, int32 [B].
  """

  sheet: Sheet
  steps: tf.Tensor


class Quiz:
  """A batched environment; see `agents.collector` for its two functions.

  The reward is `reward` for a right answer, less than nothing by as much for a
  wrong one, and 0 where nothing was asked. Episodes end after T steps; that is
  the end of the game and no time limit.

  Attributes:
    time_limit: T.
    questions: Most that an episode has.
    chance: Mean return of actions by chance, where every step that asks has
      the same number of answers.
  """

  def __init__(
    self,
    draw: Callable[[int, Any], Sheet],
    observation_space: gymnasium.Space,
    actions: int,
    steps: int,
    questions: int,
    reward: float,
  ):
    """Makes the game.

    Args:
      draw: Function of the number of lanes and of a key; draws their episodes.
      observation_space: Of one step.
      actions: How many there are.
      steps: T.
      questions: Most steps of an episode that ask something.
      reward: Of a right answer.
    """
    self._draw = draw
    self._reward = checks.real('reward', reward, above=0)
    self.time_limit = checks.integer('steps', steps, 1)
    self.questions = checks.integer('questions', questions, 1)
    self.observation_space = observation_space
    self.action_space = gymnasium.spaces.Discrete(
      checks.integer('actions', actions, 2)
    )

  @property
  def chance(self) -> float:
    """Mean return of actions by chance."""
    share = 1 / int(self.action_space.n)
    return self.questions * self._reward * (2 * share - 1)

  def reset(self, lanes: int, seed):
    """Draws an episode for every lane."""
    state = State(self._draw(lanes, seed), tf.zeros([lanes], tf.int32))
    return state, self._observe(state)

  def step(self, state: State, action, seed):
    """Marks the answer of each lane and goes on."""
    del seed
    place = tf.minimum(state.steps, self.time_limit - 1)
    answer = tf.gather(state.sheet.answers, place, batch_dims=1)
    reward = tf.where(tf.cast(action, tf.int32) == answer, 1.0, -1.0)
    reward = tf.where(answer == NO_QUESTION, 0.0, self._reward * reward)
    state = State(state.sheet, place + 1)
    terminated = state.steps >= self.time_limit
    truncated = tf.zeros_like(terminated)
    return state, self._observe(state), reward, terminated, truncated

  def _observe(self, state):
    return tf.gather(state.sheet.observations, state.steps, batch_dims=1)


def one_hot(counts: tuple[int, ...], *parts: tf.Tensor) -> tf.Tensor:
  """Joins indices [..., ] below their counts to one vector [..., sum]."""
  pairs = zip(parts, counts, strict=True)
  return tf.concat([tf.one_hot(part, count) for part, count in pairs], -1)


def one_hot_space(counts: tuple[int, ...]) -> gymnasium.spaces.Box:
  """Returns the space of `one_hot`."""
  return gymnasium.spaces.Box(0, 1, (sum(counts),), 'float32')
