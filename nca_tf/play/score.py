"""Scores of a player in the real game, and the figures that sum them up."""

import contextlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from nca_tf import checks
from nca_tf.analysis import intervals
from nca_tf.command_line import faults
from nca_tf.play import crashes
from nca_tf.runs import progress


def summarise(scores, at_limit, seed: int = 0) -> dict[str, Any]:
  """Returns the figures of one player.

  Args:
    scores: [N] returns.
    at_limit: [N] whether the time limit ended the episode.
    seed: Of the bootstrap.

  Returns:
    Mean, standard deviation (of a sample), standard error, median, the share
    of episodes that reach the limit, and the mean's bootstrap 95 % interval.
    The spread of a single episode is None.
  """
  scores = np.asarray(scores, np.float64)
  deviation = float(scores.std(ddof=1)) if len(scores) > 1 else None
  interval = intervals.bootstrap_mean(scores, rng=seed)
  return {
    'episodes': len(scores),
    'mean': float(scores.mean()),
    'standard_deviation': deviation,
    'standard_error': deviation and deviation / len(scores) ** 0.5,
    'median': float(np.median(scores)),
    'share_at_limit': float(np.mean(at_limit)),
    'low': interval.low if len(scores) > 1 else None,
    'high': interval.high if len(scores) > 1 else None,
  }


def summarise_episodes(
  episodes: list[dict[str, Any]], seed: int = 0
) -> dict[str, Any]:
  """Returns the same figures of episodes as `play` returns them."""
  return summarise(
    [episode['score'] for episode in episodes],
    [not episode['terminated'] for episode in episodes],
    seed,
  )


def describe(label: str, figures: dict[str, Any]) -> str:
  """Returns the figures of `summarise` as a line to print."""
  if figures['standard_deviation'] is None:
    return f'{label}: {figures["mean"]:.1f} (one episode)'
  return (
    '{label}: mean {mean:.1f} +- {standard_deviation:.1f} '
    '(standard error {standard_error:.1f}, 95 % interval '
    '{low:.1f} to {high:.1f}), median {median:.0f}, '
    '{share:.1f} % at the time limit, {episodes} episodes'
  ).format(label=label, share=100 * figures['share_at_limit'], **figures)


def play(config, file: pathlib.Path) -> list[dict[str, Any]]:
  """Plays the episodes that `file` lacks and returns all of them.

  Args:
    config: A PlayConfig with a number of `episodes`; every setting resolved.
    file: JSON lines of index, seed, score, tics and terminated; each finished
      episode is added to it at once.
  """
  episodes = read_episodes(file)
  first, total = len(episodes), config.episodes
  label = f'{config.env}, {config.player.label}'
  with (
    crashes.reported(),
    contextlib.closing(config.play(first, total)) as results,
    open(file, 'a', encoding='utf-8') as stream,
    progress.Progress(label, total, 'episodes', min(first, total)) as bar,
  ):
    bar.update(min(first, total))
    for result in results:
      episode = {
        'index': first + result.index,
        'seed': result.seed,
        'score': result.score,
        'tics': result.tics,
        'terminated': result.terminated,
      }
      stream.write(json.dumps(episode) + '\n')
      stream.flush()
      episodes.append(episode)
      mean = np.mean([each['score'] for each in episodes])
      bar.update(len(episodes), mean=mean)
  return episodes[:total]


def read_episodes(file: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the finished episodes, cutting what cannot be read off the end."""
  episodes, end = [], 0
  if not file.exists():
    return episodes
  lines = file.read_bytes().splitlines(keepends=True)
  for line in lines:
    episode = _parse(line)
    if episode is None or episode['index'] != len(episodes):
      break
    episodes.append(episode)
    end += len(line)
  rest = lines[len(episodes) :]
  if rest:
    if rest[0].endswith(b'\n'):  # Else a kill has torn the last line.
      faults.warn(
        f'{file} is damaged from episode {len(episodes)} on; they are '
        'played again'
      )
    os.truncate(file, end)
  return episodes


def _parse(line: bytes) -> dict[str, Any] | None:
  """Returns the episode of a whole line, or None."""
  try:
    episode = json.loads(line)
    for name in ('index', 'seed'):
      checks.integer(name, episode[name], 0)
    checks.integer('tics', episode.get('tics', 0), 0)
    checks.real('score', episode['score'])
    checks.boolean('terminated', episode['terminated'])
    return episode if line.endswith(b'\n') else None
  except (ValueError, KeyError, TypeError, RecursionError):
    return None
