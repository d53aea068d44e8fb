"""Plays recorded games again and counts where the engine differs."""

import numpy as np

from nca_tf.environments.pommerman.engine import engine
from nca_tf.environments.pommerman.engine import outcome as outcome_lib
from nca_tf.environments.pommerman.engine import seeded_board
from nca_tf.environments.pommerman.recordings import snapshot
from nca_tf.environments.pommerman.recordings.trace import Trace

# What is compared. `order`: bombs and flames are equal, but not their order.
KINDS = (
  'state',
  'order',
  'rewards',
  'done',
  'observations',
  'messages',
  'result',
  'boards',
)
_MAPS = {
  'obs_board': 'board',
  'obs_blast': 'bomb_blast_strength',
  'obs_life': 'bomb_life',
  'obs_dir': 'bomb_moving_direction',
  'obs_flame': 'flame_life',
  'obs_alive': 'alive',
}


def replay(trace: Trace) -> dict[str, list[tuple[int, int]]]:
  """Plays all games of a trace of the original.

  Returns:
    For each of `KINDS` the game and the step of each mismatch. Boards are
    compared with those of the seeds, unless the games began on others; their
    step is -1.
  """
  found = {kind: [] for kind in KINDS}
  for rules in dict.fromkeys(trace.rules):
    games = [game for game, each in enumerate(trace.rules) if each == rules]
    _replay_games(trace, np.array(games), found)
  if trace.seeded:
    _compare_boards(trace, found)
  return found


def _replay_games(trace, games, found):
  """Plays games of one variant side by side, each to its own end."""
  data = trace.arrays
  offsets = data['game_offsets'].astype(np.int64)
  lengths = np.diff(offsets)[games]
  order = np.argsort(-lengths, kind='stable')
  games, lengths = games[order], lengths[order]
  state = snapshot.load(trace.rules[games[0]], trace.get_start(games))
  bombs = snapshot.split(data['bombs'], data['n_bombs'])
  flames = snapshot.split(data['flames'], data['n_flames'])
  radio = state.variant.radio and 'sent_messages' in data
  seen = _number_observed(trace)
  for time in range(lengths[0]):
    playing = np.count_nonzero(lengths > time)  # They come first.
    step = offsets[games] + np.minimum(time, lengths - 1)
    outcome = engine.step(
      state,
      data['actions'][step],
      data['sent_messages'][step] if radio else None,
      observe=bool(np.any(seen[step[:playing]] >= 0)),
    )
    wrong = _compare(data, bombs, flames, state, outcome, step[:playing])
    last = np.flatnonzero(lengths == time + 1)
    wrong['result'] = last[_compare_results(data, state, outcome, games, last)]
    if outcome.observations is not None:
      wrong |= _compare_seen(
        data, outcome.observations, seen[step[:playing]], radio
      )
    for kind, rows in wrong.items():
      found[kind] += [(int(game), time) for game in games[rows]]


def _number_observed(trace):
  """Returns [T] the number of a step's observation, -1 for none."""
  seen = np.full(trace.steps, -1)
  if 'obs_step' in trace.arrays:
    steps = trace.arrays['obs_step']
    seen[steps] = np.arange(len(steps))
  return seen


def _compare(data, bombs, flames, state, outcome, step):
  """Returns the rows of the games that differ, by kind; `step` is of each."""
  rows = len(step)
  ours = snapshot.take(state)
  wrong = {}
  differs = np.zeros(rows, bool)
  for name in ('board', 'items', 'agents'):
    differs |= _differ(getattr(ours, name)[:rows], data[name][step])
  order = np.zeros(rows, bool)
  our_bombs = snapshot.split(ours.bombs, ours.bomb_counts)
  our_flames = snapshot.split(ours.flames, ours.flame_counts)
  for mine, theirs in ((our_bombs, bombs), (our_flames, flames)):
    for row, time in enumerate(step):
      if not np.array_equal(mine[row], theirs[time]):
        same = sorted(mine[row].tolist()) == sorted(theirs[time].tolist())
        (order if same else differs)[row] = True
  wrong['state'] = np.flatnonzero(differs)
  wrong['order'] = np.flatnonzero(order & ~differs)
  for name in ('rewards', 'done'):
    ours = getattr(outcome, name)[:rows]
    wrong[name] = np.flatnonzero(_differ(ours, data[name][step]))
  return wrong


def _differ(ours, theirs):
  """Returns [rows] whether anything in a row differs."""
  return np.any(ours != theirs, tuple(range(1, theirs.ndim)))


def _compare_results(data, state, outcome, games, last):
  """Returns [len(last)] whether result or winners of ended games differ."""
  result, winners = outcome_lib.get_result(state, outcome)
  agents = state.variant.agents
  theirs = data['winners'][games[last]]
  return (
    (result[last] != data['result'][games[last]])
    | _differ(winners[last], theirs[:, :agents])
    | np.any(theirs[:, agents:], 1)
  )


def _compare_seen(data, observations, seen, radio):
  rows = np.flatnonzero(seen >= 0)
  seen = seen[rows]
  differs = np.zeros(len(rows), bool)
  for theirs, ours in _MAPS.items():
    differs |= _differ(observations[ours][rows], data[theirs][seen])
  wrong = {'observations': rows[differs]}
  if radio:
    differs = _differ(observations['message'][rows], data['obs_message'][seen])
    wrong['messages'] = rows[differs]
  return wrong


def _compare_boards(trace, found):
  for game, rules in enumerate(trace.rules):
    start = trace.get_start(np.array([game]))
    board, items = seeded_board.make(rules, int(trace.arrays['seed'][game]))
    if np.any(board != start.board[0]) or np.any(items != start.items[0]):
      found['boards'].append((game, -1))
