"""Agents are scored, filmed and recorded with their own settings."""

import json
import os
import types

import numpy as np
import pytest
import tiny_agents
from PIL import Image

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.datasets import rollouts
from nca_tf.experiments.games import evaluate
from nca_tf.experiments.games import record_rollouts
from nca_tf.play import collect as collect_lib
from nca_tf.play import film
from nca_tf.play import score


@pytest.fixture(scope='module')
def agent(tmp_path_factory):
  """A run folder with an agent that holds actions for two tics."""
  folder = tmp_path_factory.mktemp('run')
  (folder / 'export').mkdir()
  tiny_agents.write(folder / 'export' / 'agent', frame_skip=2)
  return folder


def config(folder, *argv):
  return config_flags.resolve(
    evaluate.Config,
    [f'--run_dir={folder}', '--time_limit=90', '--processes=1', *argv],
  )


@pytest.fixture(scope='module')
def scored(agent, tmp_path_factory):
  """An agent's run with a film, and its figures."""
  folder = tmp_path_factory.mktemp('scored')
  figures = evaluate.run(
    config(
      folder / 'run',
      f'--agent={agent}',
      '--episodes=3',
      f'--record={folder / "films" / "agent.gif"}',
      '--record_episodes=2',
    )
  )
  return folder, figures


def test_an_agents_settings_are_its_own(scored, agent):
  folder, figures = scored
  found = json.loads((folder / 'run' / 'config.json').read_text())['config']
  assert found['frame_skip'] == 2
  assert found['env'] == 'vizdoom'
  assert found['policy'] == str(agent)
  assert figures['episodes'] == 3
  text = (folder / 'run' / 'episodes.jsonl').read_text()
  tics = [json.loads(line)['tics'] for line in text.splitlines()]
  assert figures['mean'] == pytest.approx(np.mean(tics))
  assert max(tics) <= 90


def test_the_film_shows_the_episodes_to_their_ends(scored):
  folder, _ = scored
  duration, pictures = 0, []
  with Image.open(folder / 'films' / 'agent.gif') as film:
    assert min(film.size) > 4 * 64
    for index in range(film.n_frames):
      film.seek(index)
      duration += film.info['duration']
      pictures.append(np.asarray(film.convert('RGB'), int))
  text = (folder / 'run' / 'episodes.jsonl').read_text()
  tics = [json.loads(line)['tics'] for line in text.splitlines()][:2]
  seconds = sum(tics) / 35 + 2  # Each last frame stays for a second.
  assert duration / 1000 == pytest.approx(seconds, abs=0.3)
  # The game moves, and so does the score below it.
  middle = pictures[len(pictures) // 3]
  assert np.abs(middle[:270] - pictures[0][:270]).max() > 30
  assert np.abs(middle[-14:] - pictures[0][-14:]).max() > 30


def test_episodes_of_another_agent_are_not_mixed(scored, agent, tmp_path):
  folder, _ = scored
  other = tmp_path / 'other'
  os.makedirs(other / 'export')
  arguments = (f'--agent={other}', '--episodes=1', '--time_limit=20')
  tiny_agents.write(other / 'export' / 'agent', time_to_turn=9.0)
  evaluate.run(config(tmp_path / 'run', *arguments))
  tiny_agents.write(other / 'export' / 'agent', time_to_turn=5.0)
  with pytest.raises(
    faults.UsageError, match='of agent-tiny-9.0, .* has agent-tiny-5.0'
  ):
    evaluate.run(config(tmp_path / 'run', *arguments))


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--frame_skip=4'], '--frame_skip must be 2, .*agent.* got 4'),
    (['--action_kind=continuous'], '--action_kind must be discrete, .*'),
    (['--policy=stay'], '--agent plays in place of --policy, got both'),
    (['--record=film.png'], "must name a .gif or an .mp4 file, got 'film.png'"),
    (['--record=film.mp4'], r"needs imageio: pip install 'imageio\[ffmpeg\]'"),
  ],
)
def test_contradictions_are_one_line(
  agent, tmp_path, monkeypatch, flags, message
):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(faults.UsageError, match=message) as caught:
    config(tmp_path, f'--agent={agent}', *flags)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('folder.gif', 'must name a file, got folder'),
    ('file/film.gif', 'file is no folder that can be'),
    ('file/deeper/film.mp4', 'file is no folder that can be'),
    ('nowhere/film.gif', 'nowhere is no folder that can be'),
    ('film', 'must name a .gif or an .mp4 file'),
  ],
)
def test_a_film_that_cannot_be_written_is_refused_before_play(
  tmp_path, name, message
):
  (tmp_path / 'folder.gif').mkdir()
  (tmp_path / 'file').write_text('')
  (tmp_path / 'nowhere').symlink_to(tmp_path / 'gone')
  with pytest.raises(faults.UsageError, match=message) as info:
    film.check(str(tmp_path / name))
  assert '\n' not in str(info.value)
  film.check(str(tmp_path / 'new' / 'folders' / 'film.gif'))
  assert not (tmp_path / 'new').exists()


class FakeConfig:
  """Plays episodes whose score is their index, and says which."""

  env, episodes = 'game', 6
  player = types.SimpleNamespace(label='nobody')

  def __init__(self):
    self.played = []

  def play(self, first, total):
    for index in range(total - first):
      self.played.append(first + index)
      yield types.SimpleNamespace(
        index=index,
        seed=first + index,
        score=1.0 * (first + index),
        tics=3,
        terminated=True,
      )


@pytest.mark.parametrize(
  'damage',
  [
    lambda line: line[:-9],
    lambda line: b'',
    lambda line: line.replace(b'"score"', b'"sc\xffre"'),
    lambda line: line.replace(b'"score": 2.0', b'"score": null'),
    lambda line: line.replace(b'"score": 2.0', b'"score": NaN'),
    lambda line: line.replace(b'"score": 2.0', b'"score": "2"'),
    lambda line: line.replace(b'"tics": 3', b'"tics": -3'),
    lambda line: line.replace(b'"terminated": true', b'"terminated": 1'),
    lambda line: line.replace(b'"index": 2', b'"index": 3'),
    lambda line: b'[2]\n',
    lambda line: b'[' * 100_000 + b'\n',
  ],
)
def test_a_damaged_line_is_played_again(tmp_path, damage):
  file = tmp_path / 'episodes.jsonl'
  wanted = score.play(FakeConfig(), file)
  lines = file.read_bytes().splitlines(keepends=True)
  file.write_bytes(b''.join([*lines[:2], damage(lines[2]), *lines[3:]]))
  again = FakeConfig()
  assert score.play(again, file) == wanted
  assert again.played == [2, 3, 4, 5]
  assert file.read_bytes() == b''.join(lines)


def test_no_agent_is_one_line(tmp_path):
  with pytest.raises(faults.UsageError, match='--agent: folder must hold an'):
    config(tmp_path, f'--agent={tmp_path}')
  with pytest.raises(faults.UsageError, match='--policy must be one of .* or'):
    config(tmp_path, f'--policy={tmp_path}')


def test_agents_collect_rollouts(agent, tmp_path):
  settings = ('--frame_skip=2', '--time_limit=60', '--processes=1')
  record_rollouts.run(
    config_flags.resolve(
      record_rollouts.Config,
      [
        f'--run_dir={tmp_path / "run"}',
        f'--policy={agent}',
        '--episodes=2',
        *settings,
      ],
    )
  )
  own = list(rollouts.read(tmp_path / 'run' / 'rollouts'))
  assert [episode.length for episode in own] == [30, 30]
  assert set(own[0].action) == {0, 2}
  source = rollouts.read_spec(tmp_path / 'run' / 'rollouts').source
  assert source['policy'] == 'agent-tiny-4.0'

  def collect(parameters):
    return collect_lib.collect(
      tmp_path / 'other',
      'vizdoom',
      agent,
      2,
      0,
      processes=1,
      options={'frame_skip': 2, 'time_limit': 60},
      parameters=np.array(parameters, np.float32),
    )

  collect([100, 0, 0])
  other = list(rollouts.read(tmp_path / 'other'))
  assert set(other[0].action) == {0}  # The tiny agent has not turned yet.
  with pytest.raises(ValueError, match='source must be'):
    collect([50, 0, 0])


def test_an_agent_without_a_controller_is_a_player_too(tmp_path):
  agent = tiny_agents.write(tmp_path / 'agent', controller=False)
  film = tmp_path / 'agent.gif'
  figures = evaluate.run(
    config(
      tmp_path / 'run', f'--agent={agent}', '--episodes=2', f'--record={film}'
    )
  )
  assert figures['episodes'] == 2
  assert film.exists()
  settings = (f'--policy={agent}', '--time_limit=60', '--processes=1')
  record_rollouts.run(
    config_flags.resolve(
      record_rollouts.Config,
      [f'--run_dir={tmp_path / "seen"}', '--episodes=2', *settings],
    )
  )
  source = rollouts.read_spec(tmp_path / 'seen' / 'rollouts').source
  assert source['policy'] == 'agent-tiny-4.0'


def test_an_agent_of_an_unknown_game_is_one_line(tmp_path):
  agent = tiny_agents.write(tmp_path / 'agent', env='pong')
  with pytest.raises(faults.UsageError, match="--env must be .*, got 'pong'"):
    config(tmp_path / 'run', f'--agent={agent}')
