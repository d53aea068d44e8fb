"""bin/benchmark pixel_copter: a small run, resumed."""

import json

from nca_tf.command_line import config_flags
from nca_tf.experiments.benchmarks import pixel_copter


def test_speeds_are_measured_once_and_reported(tmp_path, capsys, monkeypatch):
  folder = tmp_path / 'run'
  config = config_flags.resolve(
    pixel_copter.Config, ['--preset=smoke', f'--run_dir={folder}']
  )
  pixel_copter.run(config)
  first = capsys.readouterr().out
  speed = json.loads((folder / 'results.json').read_text())['speed']
  assert set(speed) == {'features/8', 'frames/8'}
  assert all(rate > 10 for rates in speed.values() for rate in rates)
  assert '| features' in (folder / 'results.md').read_text()
  monkeypatch.setattr(pixel_copter, '_measure', None)  # Not again.
  pixel_copter.run(config)
  assert capsys.readouterr().out == first
