"""Plays Pommerman: G games side by side, exact in every rule.

Source: Resnick et al. 2018 (arXiv:1809.07124) and the behaviour of the
authors' package; the tests compare with recorded games of it.
"""

import numpy as np

from nca_tf import checks
from nca_tf.environments import game
from nca_tf.environments.pommerman.engine import board
from nca_tf.environments.pommerman.engine import collapse
from nca_tf.environments.pommerman.engine import explosions
from nca_tf.environments.pommerman.engine import game_state
from nca_tf.environments.pommerman.engine import movement
from nca_tf.environments.pommerman.engine import observation
from nca_tf.environments.pommerman.engine import outcome
from nca_tf.environments.pommerman.engine import variants
from nca_tf.environments.pommerman.engine.game_state import State
from nca_tf.environments.pommerman.engine.outcome import Outcome
from nca_tf.environments.pommerman.engine.outcome import get_result
from nca_tf.environments.pommerman.engine.variants import Variant

__all__ = ['get_result', 'reset', 'restart', 'step']


def reset(variant: Variant, games: int, rng: np.random.Generator) -> State:
  """Starts `games` games, each on a board of its own that `rng` draws."""
  games = checks.integer('games', games, 0)
  state = game_state.make_empty(variant, games)
  restart(state, np.ones(games, bool), rng)
  return state


def restart(state: State, games: np.ndarray, rng: np.random.Generator) -> None:
  """Starts games [G] bool again, on new boards that `rng` draws, in place.

  Words that were sent stay, as in the original.
  """
  if games.any():
    boards, items = board.make(state.variant, int(games.sum()), rng)
    game_state.start(state, games, boards, items)


def step(
  state: State,
  actions: np.ndarray,
  messages: np.ndarray | None = None,
  *,
  observe: bool = False,
) -> Outcome:
  """Plays one step of all games, in place.

  Args:
    state: Of all games.
    actions: [G, A] integers 0..5; those of dead agents are ignored.
    messages: [G, A, 2] words 0..7 (radio variants only); zeros by default, and
      from dead agents.
    observe: Whether the outcome has observations. A ring that collapses in
      this step is seen one step later, so `observation.observe` called after
      this step would differ.

  Raises:
    ValueError: An argument has another shape or type, or is out of range.
  """
  actions = _check(actions, 'actions', state.cell.shape, variants.ACTIONS)
  if state.variant.radio:
    sent, limit = state.messages, variants.VOCABULARY
    words = np.zeros_like(sent) if messages is None else messages
    words = _check(words, 'messages', sent.shape, limit)
    # Only agents that live when the step begins send words.
    sent[:] = words * state.alive[..., None]
  elif messages is not None:
    raise ValueError(
      f'messages must be None in {state.variant.name}, which has no radio'
    )
  explosions.age_flames(state)
  movement.move(state, actions)
  explosions.explode(state)
  state.step_count += 1
  result = outcome.judge(state)
  if observe:
    result = result._replace(observations=observation.observe(state))
  collapse.collapse(state)
  return result


def _check(values, name, shape, limit):
  """Returns integers as int64, or refuses them."""
  values = game.to_array(values)
  if values.shape != shape or values.dtype.kind not in 'iu':
    raise ValueError(
      f'{name} must be integers of shape {shape}, got {values.dtype} of shape '
      f'{values.shape}'
    )
  values = values.astype(np.int64, copy=False)
  if values.size and not 0 <= values.min() <= values.max() < limit:
    wrong = values[(values < 0) | (values >= limit)][0]
    raise ValueError(f'{name} must be in 0..{limit - 1}, got {wrong}')
  return values
