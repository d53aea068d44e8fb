"""The dream: M as a batched environment, in one compiled graph.

Ha and Schmidhuber, World Models (2018), section 4. Letters: L lanes, P
candidates, R rollouts, T steps, Z latent size, A action size.
"""

import math
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_numbers
from nca_tf import random_tensors
from nca_tf.world_model import imagination

FITNESS = ('expected', 'sampled')

_DEAD = 0.01  # Share of survival that is not worth another step.


class DreamState(typing.NamedTuple):
  """Lanes of a dream: imagination.Carry, and what is left of each life."""

  z: object  # [L, Z]
  memory: object  # list of [L, ...], M's state
  is_first: object  # [L] bool
  survival: object  # [L], probability of being alive
  steps: object  # [L] int32, since the start


class Noise(typing.NamedTuple):
  """All that is random in R rollouts of T steps, shared by all candidates."""

  start: object  # [R, Z]
  uniform: object  # [R, T, U], U as M's latent head says
  normal: object  # [R, T, N], N likewise


class Rollouts(typing.NamedTuple):
  """Scores of all rollouts."""

  # [P, R], the return: of M's rewards where it predicts them, otherwise the
  # steps survived, expected ones or those before death
  scores: object
  steps: object  # [], lane-steps that were computed


class Dream:
  """The game as M knows it.

    dream = Dream(model, starts=(mean, log_variance), horizon=525)
    state, observation = dream.reset(lanes=8, seed=1)
    state, observation, reward, terminated, truncated = dream.step(
      state, action, seed=2
    )

  Observations are the features that a controller may read, by name: z and
  those of M's cell (`memory.cells.features`).
  """

  def __init__(
    self,
    model,
    starts,
    horizon: int,
    temperature: float = 1.0,
    fitness: str = 'expected',
    done_weight: float = 1.0,
  ):
    """Makes the environment.

    Args:
      model: M, a built MemoryModel.
      starts: mean and log variance [S, Z] of recorded first frames.
      horizon: steps after which an episode is truncated.
      temperature: tau of the mixtures.
      fitness: 'expected': nobody dies; the reward of a step is the probability
        of being alive after it, from M's calibrated probability of the end,
        and an episode ends where that falls below 0.01. 'sampled': an episode
        ends where M's weighted logit passes zero, as published.
      done_weight: what deaths weighed in M's loss. Their odds are as many
        times too large, which 'expected' takes back.

    Raises:
      ValueError: an argument is out of its range.
    """
    if fitness not in FITNESS:
      raise ValueError(f'fitness must be one of {FITNESS}, got {fitness!r}')
    self.model = model
    self.horizon = checks.integer('horizon', horizon, 1)
    self.temperature = checks.real('temperature', temperature, above=0)
    self.fitness = fitness
    done_weight = checks.real('done_weight', done_weight, above=0)
    self._shift = math.log(done_weight) if fitness == 'expected' else 0.0
    dtype = model.variable_dtype
    self._mean, self._log_variance = (tf.cast(part, dtype) for part in starts)
    one, other = list(self._mean.shape), list(self._log_variance.shape)
    if one != other or one[1:] != [model.latent_size] or not one[0]:
      raise ValueError(
        f'starts must be two arrays [S, {model.latent_size}] with S of at '
        f'least 1, got {one} and {other}'
      )

  def reset(self, lanes: int, seed):
    """Starts lanes from recorded first frames, drawn from their posterior.

    Args:
      lanes: L.
      seed: int32 [2], or an int.

    Returns:
      DreamState and the observation.

    Raises:
      ValueError: `lanes` is no integer of at least 1, or there is no such seed.
    """
    lanes = checks.integer('lanes', lanes, 1)
    state = self._begin(self._draw_starts(lanes, _key(seed)))
    return state, self.observe(state)

  def step(self, state: DreamState, action, seed):
    """Plays one step in every lane.

    Args:
      state: DreamState.
      action: [L, A], one-hot for discrete games.
      seed: int32 [2], or an int; another one at each step.

    Returns:
      DreamState, observation, reward [L], terminated [L], truncated [L]. The
      reward is M's where it predicts one, the probability of being alive
      otherwise. A lane that has ended goes on as if it had not: the caller
      resets it.
    """
    state, prediction = self.advance(state, action, seed)
    reward = prediction.reward
    reward = state.survival if reward is None else reward
    return state, self.observe(state), reward, *self.ended(state)

  def advance(self, state: DreamState, action, seed):
    """As `step`; returns DreamState and M's model.Prediction."""
    noise = self._draw_noise(_key(seed), [state.z.shape[0]])
    return self._advance(state, action, *noise)

  def ended(self, state: DreamState):
    """Which lanes have ended by death, and which by the horizon, [L] each."""
    terminated = state.survival < _DEAD
    return terminated, (state.steps >= self.horizon) & ~terminated

  def done_probability(self, prediction):
    """Probability that a step ended the episode, [L], as the dream takes it."""
    return tf.sigmoid(prediction.done_logit - self._shift)

  def observe(self, state: DreamState):
    """The features of a state by name, [L, S] each."""
    keep = 1 - tf.cast(state.is_first, state.z.dtype)[:, None]
    features = self.model.features(state.memory)
    # M forgets at its next step; C must not see the past before that.
    features = {name: part * keep for name, part in features.items()}
    return {'z': state.z, **features}

  def make_noise(self, rollouts: int, seed) -> Noise:
    """Draws starts and noise; int32 [2] or int `seed` determines them."""
    rollouts = checks.integer('rollouts', rollouts, 1)
    key = _key(seed)
    return Noise(
      self._draw_starts(rollouts, key + [2, 0]),
      *self._draw_noise(key, [rollouts, self.horizon]),
    )

  def play(
    self, act: Callable, candidates: int, noise: Noise, lanes: int
  ) -> Rollouts:
    """Plays every rollout of every candidate, in one loop.

    A lane whose episode ends takes the next one that waits, so that no lane
    idles while episodes wait. All candidates get the same starts and the same
    noise, so that their scores differ by their actions alone.

    Args:
      act: function of observation, candidate [L], rollout [L] and step [L]
        to actions [L, A].
      candidates: P.
      noise: from `make_noise`.
      lanes: L, at least 1; more lanes than episodes are not used.

    Raises:
      ValueError: a number is no integer of at least 1.
    """
    candidates = checks.integer('candidates', candidates, 1)
    lanes = checks.integer('lanes', lanes, 1)
    rollouts = noise.start.shape[0]
    total = candidates * rollouts
    lanes = min(lanes, total)

    def body(tasks, state, steps):
      task = tasks.task
      candidate, rollout = task // rollouts, task % rollouts
      where = tf.stack([rollout, state.steps], -1)
      before = state.survival
      state, prediction = self._advance(
        state,
        act(self.observe(state), candidate, rollout, state.steps),
        tf.gather_nd(noise.uniform, where),
        tf.gather_nd(noise.normal, where),
      )
      ended = (state.survival < _DEAD) | (state.steps >= self.horizon)
      live = tf.reduce_sum(tf.cast(task < total, tf.int32))
      gained = state.survival
      if prediction.reward is not None:
        gained = before * tf.cast(prediction.reward, before.dtype)
      tasks = tasks.update(gained, ended, total)
      starts = tf.gather(noise.start, tasks.task % rollouts)
      return tasks, self._renew(state, ended, starts), steps + live

    dtype = noise.start.dtype
    values, scores = tf.zeros([lanes], dtype), tf.zeros([total + 1], dtype)
    tasks = _Tasks(tf.range(lanes), values, tf.constant(lanes), scores)
    start = self._begin(tf.gather(noise.start, tasks.task % rollouts))
    tasks, _, steps = tf.while_loop(
      lambda tasks, *_: tf.reduce_any(tasks.task < total),
      body,
      (tasks, start, tf.constant(0)),
    )
    scores = tf.reshape(tasks.scores[:total], [candidates, rollouts])
    return Rollouts(scores, steps)

  def _renew(self, state, ended, z) -> DreamState:
    """Begins again from z [L, Z] in the lanes that have ended, [L]."""
    fresh = self._begin(z)
    return DreamState(
      tf.where(ended[:, None], fresh.z, state.z),
      state.memory,  # M sets it to zero where an episode begins.
      ended,
      tf.where(ended, fresh.survival, state.survival),
      tf.where(ended, 0, state.steps),
    )

  def _begin(self, z) -> DreamState:
    lanes = z.shape[0]
    return DreamState(
      z,
      list(self.model.initial(lanes)),
      tf.ones([lanes], tf.bool),
      tf.ones([lanes], z.dtype),
      tf.zeros([lanes], tf.int32),
    )

  def _draw_starts(self, lanes, key):
    dtype = self._mean.dtype
    uniform = random_tensors.uniform(key, [lanes], dtype)
    chosen = tf.cast(uniform * self._mean.shape[0], tf.int32)
    mean = tf.gather(self._mean, chosen)
    deviation = tf.exp(tf.gather(self._log_variance, chosen) / 2)
    shape = [lanes, self._mean.shape[-1]]
    noise = random_tensors.normal(key + [3, 0], shape, dtype)
    z = mean + deviation * noise
    return self.model.perceive(z, self.model.initial(lanes))

  def _draw_noise(self, key, shape):
    """Uniform and normal numbers for draws of latents, `shape` of them."""
    head, dtype = self.model.latent_head, self._mean.dtype
    uniform = random_tensors.uniform(key, [*shape, head.uniform_size], dtype)
    shape = [*shape, head.normal_size]
    return uniform, random_tensors.normal(key + [1, 0], shape, dtype)

  def _advance(self, state, action, uniform, normal):
    """DreamState after a step with given noise [L, ...], and a Prediction."""

    def draw(latent):
      head = self.model.latent_head
      return head.draw(latent, uniform, normal, self.temperature)

    carry = imagination.Carry(state.z, state.memory, state.is_first)
    prediction, carry = imagination.step(self.model, carry, action, draw)
    if self.fitness == 'expected':
      alive = tf.sigmoid(self._shift - prediction.done_logit)
    else:
      alive = tf.cast(prediction.done_logit <= 0, state.z.dtype)
    survival = state.survival * alive
    return DreamState(*carry, survival, state.steps + 1), prediction


class _Tasks(typing.NamedTuple):
  """Which episode each lane plays, and what became of the others."""

  task: object  # [L] int32, the lane's episode; P R where none is left
  value: object  # [L], its score so far
  waiting: object  # [] int32, the first episode that no lane has taken
  scores: object  # [P R + 1], of the episodes that have ended

  def update(self, gained, ended, total):
    """Counts what a step gained; lanes that have ended take waiting episodes.

    `gained` and `ended` are [L].
    """
    value = self.value + gained
    # Row `total` takes what idle lanes and lanes that go on would write.
    row = tf.where(ended, self.task, total)
    scores = tf.tensor_scatter_nd_update(self.scores, row[:, None], value)
    count = tf.cast(ended, tf.int32)
    following = tf.minimum(
      self.waiting + tf.cumsum(count, exclusive=True), total
    )
    return _Tasks(
      tf.where(ended, following, self.task),
      tf.where(ended, tf.zeros_like(value), value),
      self.waiting + tf.reduce_sum(count),
      scores,
    )


def _key(seed):
  shape = tuple(getattr(seed, 'shape', np.shape(seed)))
  if not shape:
    seed = random_numbers.key(checks.integer('seed', seed), 'dream')
  elif shape != (2,):
    raise ValueError(
      f'seed must be an integer or two of them, got shape {list(shape)}'
    )
  return tf.cast(seed, tf.int32)


def follow(controller, parameters, noise=None):
  """Policy for `Dream.play`: every candidate its row of parameters [P, n].

  `noise` [R, T, rows] is added to the sums of the controller, where wanted.
  """

  def act(features, candidate, rollout, step):
    # Idle lanes ask for one candidate too many; XLA would clip, others raise.
    candidate = tf.minimum(candidate, parameters.shape[0] - 1)
    sums = controller.activate(tf.gather(parameters, candidate), features)
    if noise is not None:
      added = tf.gather_nd(noise, tf.stack([rollout, step], -1))
      sums += tf.reshape(tf.cast(added, sums.dtype), tf.shape(sums))
    return controller.encode(controller.decide(sums), features['z'].dtype)

  return act


def replay(actions):
  """Policy for `Dream.play`: rollout r does actions [R, T, A]."""

  def act(features, candidate, rollout, step):
    del features, candidate
    return tf.gather_nd(actions, tf.stack([rollout, step], -1))

  return act
