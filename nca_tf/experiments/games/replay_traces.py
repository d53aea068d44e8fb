"""Plays recorded games of an original through our engine, step by step."""

import dataclasses
from typing import ClassVar

from nca_tf.analysis import table
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments.pixel_copter import recordings
from nca_tf.environments.pommerman.recordings import replay
from nca_tf.environments.pommerman.recordings import trace

# By game: what reads a file, what replays it, and the kinds of mismatches.
_RECORDINGS = {
  'pommerman': (trace.read, replay.replay, replay.KINDS),
  'pixel_copter': (recordings.read, recordings.replay, recordings.KINDS),
}
_NAMED = 5  # Mismatches of a kind that are named.


@dataclasses.dataclass(frozen=True)
class Config(config_flags.Common):
  """Which recordings to replay; it writes nothing and has no run folder."""

  game: str = config_flags.option(
    'pommerman', 'Game of the recordings.', choices=tuple(_RECORDINGS)
  )
  files: tuple[str, ...] = config_flags.option(
    (), 'Recordings; or name them after the flags.'
  )

  PRESETS: ClassVar = {'smoke': {}, 'laptop': {}, 'paper': {}}
  POSITIONAL: ClassVar = 'files'

  def validate(self):
    """Refuses to begin without a file."""
    if not self.files:
      raise faults.UsageError('--files must name at least one file, got none')


def run(config: Config) -> None:
  """Reads all files, replays them and prints what differs.

  Raises:
    faults.UsageError: A file cannot be replayed.
    faults.Fault: Something differs.
  """
  read, replay_all, kinds = _RECORDINGS[config.game]
  traces = {path: _read(read, path) for path in config.files}
  view = table.Table(['file', 'games', 'steps', *kinds])
  total, details = 0, []
  for path, recorded in traces.items():
    found = replay_all(recorded)
    counts = [len(found[kind]) for kind in kinds]
    view.add(path, recorded.games, recorded.steps, *counts)
    total += sum(counts)
    details += _describe(path, found)
  print(view.text())
  print('\n'.join(details), end='\n' if details else '')
  games = sum(recorded.games for recorded in traces.values())
  steps = sum(recorded.steps for recorded in traces.values())
  line = f'{games} games, {steps} steps, {total} mismatches'
  if total:
    raise faults.Fault(line)
  print(line)


def _read(read, path):
  try:
    return read(path)
  except OSError as error:
    reason = error.strerror or error
    raise faults.UsageError(f'--files: {path}: {reason}') from error
  except ValueError as error:
    raise faults.UsageError(f'--files: {error}') from error


def _describe(path, found):
  """Returns a line for the first mismatches of each kind."""
  for kind, places in found.items():
    if places:
      named = ', '.join(
        f'game {game}' + (f' step {step}' if step >= 0 else '')
        for game, step in places[:_NAMED]
      )
      more = ', ...' if len(places) > _NAMED else ''
      yield f'{path}: {kind} differs in {named}{more}'
