"""Pommerman for one learner against scripted players.

Source: Resnick et al. 2018 (arXiv:1809.07124).
"""

import dataclasses
from collections.abc import Sequence

import gymnasium
import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments import policies
from nca_tf.environments.pommerman import drawing
from nca_tf.environments.pommerman import match
from nca_tf.environments.pommerman import original
from nca_tf.environments.pommerman import views
from nca_tf.environments.pommerman.engine import variants

_DEFAULT = 'PommeFFACompetition-v0'

SPEC = game.GameSpec(
  name='pommerman',
  observation_shape=(views.SIZE, views.SIZE, 3),
  action_names=variants.ACTION_NAMES,
  action_kinds=('discrete',),
  action_kind='discrete',
  time_limit=variants.VARIANTS[_DEFAULT].max_steps,
  tics_per_second=10,
  has_reward=True,
  policies={
    'random_per_tic': policies.Script(policies.random_per_tic),
    'random': policies.Script(policies.random),
    'wander': policies.Script(policies.wander),
  },
  engines={
    'native': game.always_installed,
    'package': original.find_missing,
  },
)

RENDER_MODES = ('rgb_array', 'ansi')
_RENDER_SIZE = 320


class Pommerman(gymnasium.Env):
  """One of Pommerman's agents; scripted players are the others.

  ## Actions
  `Discrete(6)`: stop, up, down, left, right, lay a bomb. In the radio variants
  `MultiDiscrete([6, 8, 8])`: two words for the teammate as well.

  ## Observations
  By `observation`: 'frames', uint8 `[64, 64, 3]`; 'vector', the original's
  integers as float32, `[372]` on a board of 11 x 11; 'maps', a dict of boards
  `[11, 11]` and of what the agent has. With `frames=False` pictures stay
  black, for policies that do not look.

  ## Rewards
  The original's: 1 for a win; -1 for death, defeat, or no winner in time; 0
  else.

  ## Episode end
  `terminated` when the game is decided or, without teams, the agent dead;
  `truncated` after `time_limit` steps, never both. After `close`, `reset`
  starts another game.

  ## Version history
  - v0: the rules of the original at revision 5315f6d.

  Example:
    >>> env = Pommerman(opponents='simple', observation='vector')
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(5)
  """

  metadata = {
    'render_modes': list(RENDER_MODES),
    'render_fps': SPEC.tics_per_second,
  }

  def __init__(
    self,
    *,
    variant: str = _DEFAULT,
    opponents: str | Sequence[str] = 'simple',
    agent: int = 0,
    observation: str = 'frames',
    engine: str = 'native',
    action_kind: str = 'discrete',
    frame_skip: int = 1,
    time_limit: int = SPEC.time_limit,
    frames: bool = True,
    render_mode: str | None = None,
  ):
    """Makes the environment.

    Args:
      variant: The original's name of the rules, of `variants.VARIANTS`.
      opponents: Name of the players in the other seats, or one for each.
      agent: The learner's seat.
      observation: 'frames', 'vector' or 'maps'.
      engine: 'native', or 'package' for the original's.
      action_kind: 'discrete'.
      frame_skip: Steps for which an action is held.
      time_limit: Steps after which the game ends.
      frames: Whether to draw pictures.
      render_mode: None, 'rgb_array' or 'ansi' (text).

    Raises:
      ImportError: The original engine is wanted and not installed.
      ValueError: An argument is wrong.
    """
    spec = dataclasses.replace(  # Checks the options.
      SPEC,
      action_kind=action_kind,
      frame_skip=frame_skip,
      time_limit=time_limit,
    )
    rules = make_rules(variant, spec.time_limit)
    self.render_mode = game.check_render_mode(render_mode, RENDER_MODES)
    self.observation_space = views.make_space(observation, rules)
    self.action_space = make_action_space(rules)
    self._variant = rules
    self._kind = observation
    self._frames = checks.boolean('frames', frames)
    self._frame_skip = spec.frame_skip
    self._match = match.Match(rules, 1, agent, opponents, engine)
    self._over = True

  def reset(self, *, seed=None, options=None):
    """Starts a game that `seed`, where given, determines wholly."""
    super().reset(seed=game.check_reset(seed, options))
    self._match.reset(self.np_random)
    self._over = False
    return self._observe(), self._inform()

  def step(self, action):
    """Plays `frame_skip` steps.

    Raises:
      ResetNeeded: The episode is over, or none has begun since `close`.
      ValueError: `action` is not in the action space.
    """
    self._match.need_games('step')
    if self._over:
      raise game.ResetNeeded('the episode is over: call reset() before step()')
    move, words = split_action(action, self._variant)
    reward = 0.0
    for _ in range(self._frame_skip):
      turn = self._match.step(move, self.np_random, words)
      reward += float(turn.reward[0])
      self._over = bool(turn.terminated[0] | turn.truncated[0])
      if self._over:
        break
    ends = bool(turn.terminated[0]), bool(turn.truncated[0])
    return self._observe(), reward, *ends, self._inform()

  def render(self):
    """Returns the agent's view: uint8 [320, 320, 3], or text.

    Raises:
      ResetNeeded: There is none since the beginning or `close`.
    """
    self._match.need_games('render')
    if self.render_mode is None:
      return None
    return draw(self._match.observations, self._match.agent, self.render_mode)

  def close(self):
    """Drops the game; `reset` may start another one."""
    self._match.close()

  def _observe(self):
    if self._kind == 'frames' and not self._frames:
      return np.zeros(SPEC.observation_shape, np.uint8)
    return views.first(self._match.view(self._kind))

  def _inform(self):
    seen = self._match.observations
    return {
      'tics': int(seen['step_count'][0]),
      'alive': np.flatnonzero(seen['alive'][0]).tolist(),
    }


def make_rules(variant: str, time_limit: int) -> variants.Variant:
  """Returns the rules of a name, with a limit of steps.

  Raises:
    ValueError: An argument is wrong.
  """
  limit = checks.integer('time_limit', time_limit, 1, game.LONGEST)
  rules = variants.get_variant(variant)
  if rules.first_collapse is not None:
    # The rings take their steps from those between the first and the limit.
    least = rules.first_collapse + variants.RINGS
    limit = checks.integer(f'time_limit in {rules.name}', limit, least)
  return dataclasses.replace(rules, max_steps=limit)


def make_action_space(variant: variants.Variant) -> gymnasium.Space:
  """Returns the space of one agent's actions."""
  if variant.radio:
    words = [variants.VOCABULARY] * variants.WORDS
    return gymnasium.spaces.MultiDiscrete([variants.ACTIONS, *words])
  return gymnasium.spaces.Discrete(variants.ACTIONS)


def split_action(action, variant: variants.Variant):
  """Returns an agent's move [1] and its words [1, 2], None without a radio.

  Raises:
    ValueError: It is not in the action space.
  """
  space = make_action_space(variant)
  value = game.to_array(action)
  if value.dtype.kind not in 'iu' or not space.contains(
    value.astype(np.int64) if value.shape else np.int64(value)
  ):
    raise ValueError(f'action must be in {space}, got {checks.shorten(action)}')
  value = np.atleast_1d(value).astype(np.int64)
  return value[:1], value[None, 1:] if variant.radio else None


def draw(observations: dict, agent: int, mode: str):
  """Renders what one agent of the first game sees."""
  if mode == 'ansi':
    return drawing.to_text(observations, agent)
  return drawing.to_rgb(observations, agent, _RENDER_SIZE)[0]
