"""Games of random Pommerman agents as integers, with an oracle's predictions.

A game is what agent 0 observes until its death: states, and its own actions.
"""

import dataclasses
import typing

import numpy as np

from nca_tf import files
from nca_tf.datasets import latents
from nca_tf.environments.pommerman import opponents
from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import variants
from nca_tf.world_model.states import layout as layout_lib

VARIANT = 'PommeFFACompetition-v0'
_MOST_BYTES = 1 << 29  # Of games unpacked; 1000 games have a tenth of it.


class Games(typing.NamedTuple):
  """G games one after the other, F states in all of N components."""

  state: np.ndarray  # [F, N] uint8
  action: np.ndarray  # [F] uint8, what the agent did there; 0 at the last
  is_first: np.ndarray  # [F] bool
  is_terminal: np.ndarray  # [F] bool, it is dead
  game: np.ndarray  # [F] int32
  oracle: np.ndarray  # [F, N] uint8 best guess of the next state, or [F, 0]

  def select(self, steps: np.ndarray) -> 'Games':
    """Those of the F steps that `steps`, [F] bool, names."""
    return Games(*(values[steps] for values in self))

  def as_latents(self) -> latents.Latents:
    """The games in the form of which `latents.Streams` cuts windows."""
    count = len(self.game)
    return latents.Latents(
      mean=self.state,
      log_variance=np.zeros((count, 0), np.float16),
      action=self.action,
      reward=np.zeros(count, np.float32),
      is_first=self.is_first,
      is_terminal=self.is_terminal,
      episode=self.game,
    )


def make_layout(variant: variants.Variant) -> layout_lib.Layout:
  """Returns the layout of a variant's states."""
  return layout_lib.Layout(
    variant.board_size, variant.agents, len(variant.enemies(0))
  )


def collect(
  games: int,
  rng: np.random.Generator,
  samples: int = 0,
  report=lambda done: None,
) -> Games:
  """Plays games of four random agents, all side by side.

  Args:
    games: G.
    rng: Determines them.
    samples: How often to sample the others' actions for the oracle, which
      knows the whole hidden state and the agent's own action and predicts the
      most frequent value of each component. 0 makes no predictions.
    report: Called with the number of games that are over.

  Returns:
    The games, in order.
  """
  variant = variants.get_variant(VARIANT)
  players = opponents.make('random', variant)
  state = engine.reset(variant, games, rng)
  going = np.ones(games, bool)
  steps = []  # Of (games, states, actions, guesses)
  dead = np.zeros(games, bool)
  while going.any():
    lanes = np.flatnonzero(going)
    actions = players.act(state, rng)
    guess = np.zeros((len(lanes), 0), np.uint8)
    if samples:
      guess = _guess(state, lanes, actions[lanes, 0], samples, rng)
    steps.append((lanes, _read(state)[lanes], actions[lanes, 0], guess))
    outcome = engine.step(state, actions)
    over = going & (outcome.done | ~state.alive[:, 0])
    dead |= over & ~state.alive[:, 0]
    lanes = np.flatnonzero(over)
    # The last state has no action and no successor.
    guess = np.zeros((len(lanes), guess.shape[1]), np.uint8)
    steps.append((lanes, _read(state)[lanes], 0 * lanes, guess))
    going &= ~over
    report(int((~going).sum()))
  return _arrange(steps, dead)


def _arrange(steps, dead):
  game, state, action, guess = (
    np.concatenate(parts) for parts in zip(*steps, strict=True)
  )
  order = np.argsort(game, kind='stable')
  game = game[order].astype(np.int32)
  is_first = np.diff(game, prepend=-1) != 0
  is_last = np.append(is_first[1:], True)
  return Games(
    state[order],
    action[order].astype(np.uint8),
    is_first,
    is_last & dead[game],
    game,
    guess[order],
  )


def _read(state):
  """[G, N] uint8: agent 0's vector, and who lives."""
  vector = observation.featurize(observation.observe(state), state.variant)
  return np.concatenate([vector[:, 0], state.alive], 1).astype(np.uint8)


def _guess(state, lanes, actions, samples, rng):
  """[L, N] uint8: the most frequent values of the next states."""
  copies = take(state, np.repeat(lanes, samples))
  moves = rng.integers(variants.ACTIONS, size=copies.alive.shape)
  moves[:, 0] = np.repeat(actions, samples)
  engine.step(copies, moves)
  drawn = _read(copies).reshape(len(lanes), samples, -1)
  best = np.zeros(drawn[:, 0].shape, np.uint8)
  most = np.zeros(best.shape, np.int64)
  for value in range(int(drawn.max(initial=0)) + 1):
    count = (drawn == value).sum(1)
    best[count > most] = value
    most = np.maximum(most, count)
  return best


def take(state: game_state.State, games: np.ndarray) -> game_state.State:
  """Copies some games, perhaps several times, into a state of their own.

  Args:
    state: G games.
    games: [M] numbers of games.
  """
  area = state.grid[0].size
  shift = (np.arange(len(games)) - games) * area

  def copy(records):
    owner = records.cell // area
    order = np.argsort(owner, kind='stable')
    counts = np.bincount(owner, minlength=state.games)
    first = np.cumsum(counts) - counts
    size = counts[games]
    target = np.repeat(np.arange(len(games)), size)
    rank = np.arange(len(target)) - np.repeat(np.cumsum(size) - size, size)
    chosen = game_state.select(records, order[first[games[target]] + rank])
    return dataclasses.replace(chosen, cell=chosen.cell + shift[target])

  values = {
    name: value[games]
    for name, value in vars(state).items()
    if isinstance(value, np.ndarray)
  }
  values['cell'] = values['cell'] + shift[:, None]
  bombs, flames = copy(state.bombs), copy(state.flames)
  return dataclasses.replace(state, bombs=bombs, flames=flames, **values)


def save(games: Games, path):
  """Writes the games into one `.npz` file."""
  files.write_arrays(path, games._asdict(), compress=True)


def load(path) -> Games:
  """Reads what `save` wrote; ValueError where it is damaged."""
  games = latents.load_fields(path, Games, _MOST_BYTES)
  steps = games.is_first.shape
  is_right = (
    len(steps) == 1
    and all(field.shape[:1] == steps for field in games)
    and games.state.ndim == games.oracle.ndim == 2
    and games.is_first.dtype == games.is_terminal.dtype == np.bool_
    and np.array_equal(games.is_first, np.diff(games.game, prepend=-1) != 0)
  )
  if not is_right:
    raise ValueError(f'{path} is damaged (its arrays are no games)')
  return games
