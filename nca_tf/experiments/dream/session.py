"""A dream that is played step by step, and who plays it.

Letters: L lanes, A action size, Z latent size, T steps.
"""

import typing

import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.environments import policies
from nca_tf.training import compilation
from nca_tf.world_model import forecast


class LaneStep(typing.NamedTuple):
  """What is seen of the lanes before the first step, or after one."""

  z: np.ndarray  # [L, Z]
  survival: np.ndarray  # [L], probability of being alive
  done: np.ndarray  # [L], probability that this step ended the episode
  terminated: np.ndarray  # [L] bool
  truncated: np.ndarray  # [L] bool


class Session:
  """Lanes of one dream, all of them stepped at once in a compiled graph.

    session = Session(world_model, config, lanes=3)
    while not session.is_over:
      session.step(player.act(session.observation))

  M goes on to dream lanes that have ended, and `history` keeps that; `ends`
  says where each of them ended.
  """

  def __init__(self, world_model, config, lanes: int):
    """Starts L lanes; of settings.Config it takes what a dream needs."""
    self.spec = world_model.spec
    self._dream = world_model.dream(config.temperature, config.fitness)
    self.horizon = self._dream.horizon  # Steps after which every lane is over.
    self._action_size = world_model.model.action_size
    self._seed = config.seed
    self._advance = tf.function(
      self._step,
      autograph=False,
      jit_compile=compilation.compiles(config.jit, pays_on_cpu=False),
    )
    self._state, self.observation = self._dream.reset(
      lanes, random_numbers.key(config.seed, 'play dream: start')
    )
    never = np.zeros(lanes, bool)
    self.over = never  # [L], which lanes have ended.
    z, survival = self._state.z.numpy(), self._state.survival.numpy()
    self.history = [LaneStep(z, survival, np.zeros(lanes), never, never)]

  @property
  def steps(self) -> int:
    """Steps played, T."""
    return len(self.history) - 1

  def step(self, action) -> LaneStep:
    """Plays actions [L]: indices, or numbers in -1..1."""
    self._state, self.observation, *parts = self._advance(
      self._state,
      tf.constant(forecast.one_hot(np.asarray(action), self._action_size)),
      random_numbers.key(self._seed, 'play dream', self.steps),
    )
    after = LaneStep(*(part.numpy() for part in parts))
    self.history.append(after)
    self.over = self.over | after.terminated | after.truncated
    return after

  def warm_up(self):
    """Compiles; nothing is played."""
    kind = np.float32 if self.spec.action_kind == 'continuous' else np.int32
    before = self._state, self.observation, self.over
    self.step(np.zeros(len(self.over), kind))
    self._state, self.observation, self.over = before
    self.history.pop()

  @property
  def is_over(self) -> bool:
    """Whether all lanes have ended."""
    return bool(self.over.all())

  def ends(self) -> np.ndarray:
    """The step at which each lane ended, or the last one, [L]."""
    over = [after.terminated | after.truncated for after in self.history]
    return np.where(self.over, np.argmax(over, 0), self.steps)

  def died(self) -> np.ndarray:
    """Which lanes ended before the horizon, [L]."""
    return np.array(
      [self.history[t].terminated[i] for i, t in enumerate(self.ends())]
    )

  def tics(self) -> np.ndarray:
    """How long each lane lived, [L]: expected tics, or tics."""
    survival = np.array([after.survival for after in self.history])[1:]
    lived = [survival[:t, i].sum() for i, t in enumerate(self.ends())]
    return np.array(lived) * self.spec.frame_skip

  def _step(self, state, action, key):
    dream = self._dream
    action = tf.cast(action, state.z.dtype)
    state, prediction = dream.advance(state, action, key)
    return (
      state,
      dream.observe(state),
      state.z,
      state.survival,
      dream.done_probability(prediction),
      *dream.ended(state),
    )


def scripted(name: str, spec, lanes: int, seed: int):
  """A scripted policy, in each lane with a stream of its own.

  Returns:
    Function of an observation to actions [L].
  """
  players = [policies.make(name, spec) for _ in range(lanes)]
  for lane, policy in enumerate(players):
    policy.reset(random_numbers.generator(seed, 'play dream: policy', lane))
  return lambda observation: np.array([policy.act(None) for policy in players])
