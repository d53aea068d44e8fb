"""One whole episode of a trained agent, and what went on within it."""

import contextlib
import functools
import zlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from nca_tf import environments
from nca_tf import random_numbers
from nca_tf.agents import tf_agents
from nca_tf.command_line import faults
from nca_tf.environments.workers import episode as episode_lib
from nca_tf.experiments.agents import arenas
from nca_tf.memory import cells
from nca_tf.play import film as film_lib
from nca_tf.saved_models import translation

_LONGEST = 1000  # Steps that are played.


class Episode(NamedTuple):
  """L steps, with actions drawn as in training.

  Attributes:
    rewards: [L].
    observations: What the agent saw before each step and in the end,
      [L + 1, ...].
    values: Of each stream, [L, S].
    novelty: Intrinsic reward of what each step led to, [L]; None without RND.
    state: The cell's tensors by name after each step, [L, ...]; empty without.
    film: Frames, uint8 [T, H, W, 3], and how many of them there are in a
      second; None where nothing draws the game.
  """

  rewards: np.ndarray
  observations: np.ndarray
  values: np.ndarray
  novelty: np.ndarray | None
  state: dict[str, np.ndarray]
  film: tuple[np.ndarray, float] | None


def play(training) -> Episode:
  """Plays an episode of the game that has the name of the environment.

  Where there is no such game, or it shows something else, or nothing can draw
  it, the episode is one of the environment, without a film.
  """
  seed = random_numbers.derive(training.config.seed, 'episode of an agent')
  try:
    played = _play_game(training, seed)
  except faults.Fault as error:
    faults.warn(f'no film of an episode: {error}')
    played = None
  if played is None:
    played = _play_environment(training, seed)
  observations, rewards, seen, film = played
  values, *state = map(np.stack, zip(*seen, strict=True))
  novelty = None
  if training.distillation is not None:
    errors = training.distillation.errors(observations[1:])
    novelty = training.distillation.returns.scale(errors).numpy()
  cell = training.agent.network.cell
  names = () if cell is None else cells.state_names(cell)
  named = dict(zip(names, state, strict=True))
  found = np.asarray(observations)
  return Episode(rewards, found, values, novelty, named, film)


def _play_game(training, seed):
  """Returns observations, rewards, what was seen, a film; None if it cannot."""
  config = training.config
  options = training.game_options
  try:
    spec = environments.get_spec(config.env, **options)
    options['time_limit'] = min(_LONGEST, spec.time_limit)
    env = _open(config.env, options)
    player = _Player(training, spec)
  except (ImportError, ValueError):
    return None
  film = None
  with contextlib.closing(env):
    if env.render_mode:
      stride, _ = film_lib.find_pace(spec)
      result, pictures = film_lib.watch(env, player, 0, seed, stride)
      film = film_lib.make(config.label, spec, [(result, pictures)])
    else:
      result = episode_lib.play(env, player, 0, seed, record=True)
  frames = np.frombuffer(zlib.decompress(result.frames), spec.observation_dtype)
  frames = tf.constant(frames.reshape(-1, *spec.observation_shape))
  see = training.agent.time_step_spec.observation
  return translation.observe(frames, see), result.rewards, player.seen, film


def _play_environment(training, seed):
  """As `_play_game`, in an environment like that of the training."""
  config, policy = training.config, training.agent.collect_policy
  made = arenas.get(config.env).make(config, 1)

  @functools.partial(tf.function, autograph=False)
  def step(number, state, observation, memory):
    played = policy.action(
      _time_step(number, observation),
      memory,
      seed=random_numbers.key(seed, 'actions of an episode', number),
    )
    key = random_numbers.key(seed, 'steps of an episode', number)
    found = made.step(state, played.action, key)
    return found, played.info['values'], played.state

  key = random_numbers.key(seed, 'resets of an episode', 0)
  state, observation = made.reset(1, key)
  memory, over = policy.get_initial_state(1), False
  seen, rewards, observations = [], [], [observation]
  while not over and len(rewards) < _LONGEST:
    found, values, memory = step(
      tf.constant(len(rewards)), state, observation, memory
    )
    state, observation, reward, *ends = found
    over = any(bool(end[0]) for end in ends)
    seen.append([part.numpy()[0] for part in (values, *memory)])
    rewards.append(float(reward[0]))
    observations.append(observation)
  rewards = np.array(rewards, np.float32)
  return tf.concat(observations, 0), rewards, seen, None


def _time_step(number, observation):
  """Step `number` of an episode, in one lane."""
  kind = tf.where(number > 0, tf_agents.StepType.MID, tf_agents.StepType.FIRST)
  return tf_agents.TimeStep(
    kind[None], tf.zeros([1]), tf.ones([1]), observation
  )


def _open(name: str, options: dict[str, Any]):
  """Makes a game that draws itself, if it can."""
  try:
    return environments.make(name, render_mode='rgb_array', **options)
  except ValueError:
    return environments.make(name, **options)


class _Player:
  """The agent of a training as a policy of workers; it keeps what it knew.

  Attributes:
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
    played = self._policy.action(
      _time_step(number, observation),
      state,
      seed=self._seed + tf.stack([0, number]),
    )
    action = translation.answer(played.action, self._take)
    return action, played.info['values'], played.state
