"""Scores an agent or a scripted policy in the real game.

Ha & Schmidhuber 2018 (arXiv:1803.10122), table 2; the baselines that an agent
has to beat are theirs, and the blind metronome.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
from typing import Any, ClassVar

import numpy as np

from nca_tf import environments
from nca_tf.analysis import intervals
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.environments import workers
from nca_tf.environments.workers import saved_agent
from nca_tf.experiments.games import settings as play_config
from nca_tf.play import film
from nca_tf.runs import progress
from nca_tf.runs import run_folder

NAME = 'evaluate'
_EPISODES = 'episodes.jsonl'


@dataclasses.dataclass(frozen=True)
class Config(play_config.PlayConfig):
  """What to score; `settled` says what its `auto` settings are."""

  env: str = config_flags.option(
    'auto',
    "Game to play; auto is the agent's, or vizdoom.",
    choices=('auto', *environments.names()),
  )
  action_kind: str = config_flags.option(
    'auto',
    'Actions as an index, or as one number in -1..1 that the game cuts at '
    "+-1/3, as published; auto is the agent's, or discrete.",
    choices=('auto', 'discrete', 'continuous'),
  )
  frame_skip: int = config_flags.option(
    0,
    "Tics for which each action is held; 0 is the agent's own, or 1. Time "
    'limits and scores stay in tics.',
    minimum=0,
  )
  agent: str = config_flags.option(
    '',
    'Folder of an agent, or of the run that made one; it plays in place of '
    '--policy.',
  )
  episodes: int = config_flags.option(
    200, 'Episodes to play.', minimum=1, identity=False
  )
  record: str = config_flags.option(
    '',
    'GIF or MP4 file for a film of the first episodes.',
    identity=False,
  )
  record_episodes: int = config_flags.option(
    1, 'Episodes in the film.', minimum=1, maximum=20, identity=False
  )

  PRESETS: ClassVar = {
    'smoke': {'episodes': 6, 'time_limit': 120},
    'laptop': {},
    'paper': {'episodes': 1000},
  }

  def validate(self):
    """Refuses settings that contradict the agent's, and other wrong ones."""
    if self.agent and self.policy != Config.policy:
      raise faults.UsageError(
        f'--agent plays in place of --policy, got both {self.agent!r} and '
        f'{self.policy!r}'
      )
    super(Config, self.settled).validate()
    if self.record:
      film.check(self.record)

  @property
  def settled(self):
    """The same with an agent as the policy, and all settings known."""
    values = {'env': 'vizdoom', 'action_kind': 'discrete', 'frame_skip': 1}
    policy = self.agent or self.policy
    try:
      if self.agent or saved_agent.find(policy):
        info = saved_agent.read_info(policy)
        values = {name: info[name] for name in saved_agent.SETTINGS}
    except ValueError as error:
      raise faults.UsageError(f'--agent: {error}') from error
    for name in values:
      if getattr(self, name) not in ('auto', 0):
        values[name] = getattr(self, name)
    return dataclasses.replace(self, agent='', policy=policy, **values)


def summarise(scores, at_limit, seed: int = 0) -> dict[str, Any]:
  """Returns the figures of one policy.

  Args:
    scores: [N] returns.
    at_limit: [N] whether an episode was ended by the time limit.
    seed: Of the bootstrap.

  Returns:
    Mean, standard deviation (of a sample), standard error, median, the share
    of episodes that reach the limit, and the mean's bootstrap 95 % interval.
    The spread of a single episode is None.
  """
  scores = np.asarray(scores, np.float64)
  deviation = float(scores.std(ddof=1)) if len(scores) > 1 else None
  interval = intervals.bootstrap_mean(scores, rng=np.random.default_rng(seed))
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


def describe(policy: str, figures: dict[str, Any]) -> str:
  """Returns the figures as a line to print."""
  if figures['standard_deviation'] is None:
    return f'{policy}: {figures["mean"]:.1f} (one episode)'
  return (
    '{policy}: mean {mean:.1f} +- {standard_deviation:.1f} '
    '(standard error {standard_error:.1f}, 95 % interval '
    '{low:.1f} to {high:.1f}), median {median:.0f}, '
    '{share:.1f} % at the time limit, {episodes} episodes'
  ).format(policy=policy, share=100 * figures['share_at_limit'], **figures)


def _read_episodes(file: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the finished episodes, cutting a half line off the file's end."""
  episodes, end = [], 0
  if not file.exists():
    return episodes
  for line in file.read_bytes().splitlines(keepends=True):
    try:
      episode = json.loads(line)
      whole = line.endswith(b'\n') and episode['index'] == len(episodes)
    except (ValueError, KeyError, TypeError):
      whole = False
    if not whole:
      break
    episodes.append(episode)
    end += len(line)
  os.truncate(file, end)
  return episodes


def play(config: Config, file: pathlib.Path) -> list[dict[str, Any]]:
  """Plays the episodes that `file` lacks and returns all of them.

  Args:
    config: What to play, settled.
    file: JSON lines of index, seed, score, tics and terminated; each finished
      episode is added to it at once.
  """
  episodes = _read_episodes(file)
  first = len(episodes)
  label = f'{config.env}, {saved_agent.label(config.policy)}'
  total = config.episodes
  results = workers.play(
    config.env,
    config.policy,
    [
      environments.episode_seed(config.seed, index)
      for index in range(first, total)
    ],
    processes=config.processes,
    options=config.game_options,
  )
  with (
    contextlib.closing(results),
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
      bar.update(
        len(episodes), mean=np.mean([each['score'] for each in episodes])
      )
  return episodes[:total]


def run(config: Config) -> dict[str, Any]:
  """Plays, prints the figures and returns them; they are in `stages.json`."""
  config = config.settled
  label = saved_agent.label(config.policy)
  name = f'{config.env}-{label}-{config.seed}'
  with run_folder.RunFolder.open(config, NAME, name) as run_dir:
    _check_player(run_dir, label)
    episodes = play(config, run_dir.path / _EPISODES)
    figures = summarise(
      [episode['score'] for episode in episodes],
      [not episode['terminated'] for episode in episodes],
      config.seed,
    )
    run_dir.finish('evaluate', figures)
    print(describe(label, figures))
    print(f'{run_dir.path / _EPISODES} holds every episode')
    if config.record:
      frames = film.record(config, config.record)
      print(f'{config.record} shows {frames} frames')
  return figures


def _check_player(run_dir, label: str):
  """Refuses a folder whose episodes an agent played that is no more."""
  if not run_dir.is_finished('player'):
    run_dir.finish('player', {'name': label})
  found = run_dir.info('player')['name']
  if found != label:
    raise faults.UsageError(
      f'{run_dir.path} holds episodes of {found}, the command has {label}; '
      'choose another --run_dir'
    )
