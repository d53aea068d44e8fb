"""Plays Pommerman: G games side by side, exact in every rule.

Source: Resnick et al. 2018 (arXiv:1809.07124) and the behaviour of the
authors' package; the tests compare with recorded games of it.
"""

import numpy as np

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
  """Starts games, each on its own board.

  Args:
    variant: The rules.
    games: Number of games, G.
    rng: Draws the boards.
  """
  state = game_state.make_empty(variant, games)
  restart(state, np.ones(games, bool), rng)
  return state


def restart(state: State, games: np.ndarray, rng: np.random.Generator) -> None:
  """Starts some of the games again, on new boards, in place.

  Words that were sent stay, as in the original.

  Args:
    state: Of all games.
    games: [G] bool, which ones.
    rng: Draws the boards.
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
  words = _check_messages(state, messages)
  if words is not None:
    # Only agents that live when the step begins send words.
    state.messages[:] = words * state.alive[..., None]
  explosions.age_flames(state)
  movement.move(state, actions)
  explosions.explode(state)
  state.step_count += 1
  result = outcome.judge(state)
  if observe:
    seen = observation.observe(state)
    result = Outcome(result.rewards, result.done, seen)
  collapse.collapse(state)
  return result


def _check_messages(state, messages):
  if not state.variant.radio:
    if messages is not None:
      raise ValueError(
        f'messages must be None in {state.variant.name}, which has no radio'
      )
    return None
  if messages is None:
    return np.zeros(state.messages.shape, np.uint8)
  shape = state.messages.shape
  return _check(messages, 'messages', shape, variants.VOCABULARY)


def _check(values, name, shape, limit):
  """Returns integers as int64, or refuses them."""
  values = np.asarray(values)
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
