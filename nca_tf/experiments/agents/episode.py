"""One whole episode of a trained agent, and what went on within it."""

import contextlib
import zlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf import random_numbers
from nca_tf.agents import tf_agents
from nca_tf.environments.workers import episode as episode_lib
from nca_tf.experiments.agents import arenas
from nca_tf.memory import cells
from nca_tf.play import film
from nca_tf.saved_models import translation

_LONGEST = 1000  # Tics that are played.


class Episode(NamedTuple):
  """L steps, with actions drawn as in training.

  Attributes:
    spec: Of the game.
    result: As workers have it: score, rewards, whether it terminated.
    pictures: [L + 1] of the game, of which a film needs; None where the game
      draws none.
    observations: What the agent saw before each step and in the end,
      [L + 1, ...].
    values: Of each stream, [L, S].
    novelty: Intrinsic reward of what each step led to, [L]; None without RND.
    state: The cell's tensors by name after each step, [L, ...]; empty without.
  """

  spec: environments.GameSpec
  result: episode_lib.Result
  pictures: list | None
  observations: np.ndarray
  values: np.ndarray
  novelty: np.ndarray | None
  state: dict[str, np.ndarray]


def play(training) -> Episode | None:
  """Plays an episode in the game that has the name of the environment.

  Returns:
    The episode; None where there is no such game, or it shows something else.
  """
  config = training.config
  made = training.collector.environment
  options = arenas.get(config.env).options(config, made)
  seed = random_numbers.derive(config.seed, 'episode of an agent')
  try:
    spec = environments.get_spec(config.env, **options)
    options['time_limit'] = min(_LONGEST, spec.time_limit)
    env = _open(config.env, options)
    player = _Player(training, spec)
  except (ImportError, ValueError):
    return None
  stride, _ = film.find_pace(spec)
  with contextlib.closing(env):
    if env.render_mode:
      result, pictures = film.watch(env, player, 0, seed, stride)
    else:
      result = episode_lib.play(env, player, 0, seed, record=True)
      pictures = None
  values, *state = map(np.stack, zip(*player.seen, strict=True))
  frames = np.frombuffer(zlib.decompress(result.frames), spec.observation_dtype)
  frames = tf.constant(frames.reshape(-1, *spec.observation_shape))
  observations = translation.observe(
    frames, training.agent.time_step_spec.observation
  )
  novelty = None
  if training.distillation is not None:
    errors = training.distillation.errors(observations[1:])
    novelty = training.distillation.returns.scale(errors).numpy()
  return Episode(
    spec,
    result,
    pictures,
    observations.numpy(),
    values,
    novelty,
    dict(zip(player.names, state, strict=True)),
  )


def _open(name: str, options: dict[str, Any]):
  """Makes a game that draws itself, if it can."""
  try:
    return environments.make(name, render_mode='rgb_array', **options)
  except ValueError:
    return environments.make(name, **options)


class _Player:
  """The agent of a training as a policy of workers; it keeps what it saw.

  Attributes:
    names: Of the cell's tensors.
    seen: Values [S] and the cell's tensors of each step.
  """

  blind = False

  def __init__(self, training, spec):
    """Takes the agent and the game's spec.

    Raises:
      ValueError: The agent does not see what the game shows.
    """
    self._policy = training.agent.collect_policy
    self._see = training.agent.time_step_spec.observation
    self._take = training.agent.action_spec
    cell = training.agent.network.cell
    self.names = () if cell is None else cells.state_names(cell)
    self.seen = []
    self._dtype = spec.observation_dtype
    self._step = tf.function(self._act, autograph=False)
    empty = tf.zeros([1, *spec.observation_shape], self._dtype)
    translation.observe(empty, self._see)

  def reset(self, rng: np.random.Generator):
    """Starts an episode."""
    self._seed = tf.constant(rng.integers(2**31, size=2), tf.int32)
    self._state = self._policy.get_initial_state(1)
    self.seen = []

  def act(self, frame):
    """Draws an action."""
    frames = tf.constant(np.asarray(frame, self._dtype)[None])
    number = tf.constant(len(self.seen))
    action, values, self._state = self._step(frames, number, self._state)
    self.seen.append([part.numpy()[0] for part in (values, *self._state)])
    action = action.numpy()[0]
    return action if action.dtype.kind == 'f' else int(action)

  def _act(self, frames, number, state):
    observation = translation.observe(frames, self._see)
    kind = tf.where(
      number > 0, tf_agents.StepType.MID, tf_agents.StepType.FIRST
    )
    time_step = tf_agents.TimeStep(
      kind[None], tf.zeros([1]), tf.ones([1]), observation
    )
    played = self._policy.action(
      time_step, state, seed=self._seed + tf.stack([0, number])
    )
    action = translation.answer(played.action, self._take)
    return action, played.info['values'], played.state
