"""The toy: success, pictures, resume, restarts."""

import json

import event_files
import numpy as np
import pytest
from PIL import Image

from nca_tf.analysis import canvas
from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.toy_cma_es import report
from nca_tf.experiments.toy_cma_es import run as toy_cma_es
from nca_tf.experiments.toy_cma_es import settings


def config(folder, *argv):
  return config_flags.resolve(
    settings.Config,
    [f'--run_dir={folder}', '--preset=smoke', '--jit=off', *argv],
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('toy') / 'run'
  return folder, toy_cma_es.run(config(folder))


def test_finds_the_minimum_from_far_away(finished):
  _, figures = finished
  assert figures['found'] == figures['seeds'] == 3
  assert 10 < figures['median_generation'] <= 30
  assert report.describe(figures).startswith(
    'first step 5: 3 of 3 seeds within 0.001 of the minimum, median generation'
  )


def test_animation_shows_population_mean_best_and_ellipse(finished):
  folder, figures = finished
  with Image.open(folder / 'figures' / 'search.gif') as gif:
    assert 10 < gif.n_frames <= 30
    gif.seek(3)
    frame = np.array(gif.convert('RGB')).astype(int)
  legend = frame[520:]
  for colour in report.COLOURS:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    near = np.abs(frame - rgb).max(-1) < 12
    below = np.abs(legend - rgb).max(-1) < 12
    assert near.sum() > 1.5 * below.sum() > 0, colour
  with Image.open(folder / 'figures' / 'convergence.png') as picture:
    assert picture.size == (1000, 420)


def test_metrics_fall_with_the_generations(finished):
  folder, _ = finished
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  records = [json.loads(line) for line in lines]
  assert [record['step'] for record in records] == list(range(31))
  assert records[0]['median_distance'] > 8
  assert records[-1]['median_distance'] < 1e-3
  assert records[0]['share_within'] == 0 and records[-1]['share_within'] == 1
  ((curve, tags),) = event_files.read_steps(folder / 'tensorboard').items()
  assert curve == 'cma-es-0'
  assert tags['search/median_distance'] == list(range(31))
  assert tags['search/searches_per_second'] == [30]


def test_finished_search_is_not_run_again(finished, monkeypatch):
  folder, figures = finished
  monkeypatch.setattr(toy_cma_es, '_search', None)
  assert toy_cma_es.run(config(folder)) == figures
  with pytest.raises(faults.UsageError, match='sigma: folder has 5.0'):
    toy_cma_es.run(config(folder, '--sigma=3'))


def test_restarts_help_the_hard_start(tmp_path, capsys):
  flags = ('--sigma=0.3', '--restarts=1', '--seeds=1')
  figures = toy_cma_es.run(config(tmp_path / 'run', *flags))
  assert figures['found'] == 0 and figures['median_generation'] is None
  assert figures['restarts']['found'] == 1
  assert figures['restarts']['most_runs'] == 2
  assert 'with up to 1 restarts: 1 of 1 seeds' in capsys.readouterr().out


def test_first_generation_within():
  distances = [[9, 2e-3, 5e-4, 2e-3], [9, 9, 9, 1e-3]]
  np.testing.assert_array_equal(toy_cma_es.first_within(distances), [2, np.inf])


def test_ellipse_lies_where_the_covariance_says():
  # Correlated coordinates: the long axis of the ellipse goes up to the right.
  covariance = np.array([[[4.0, 3.6], [3.6, 4.0]]])
  search = report.Search(
    np.full((1, 4, 2), 15.0),
    np.array([[10.0, 10.0]]),
    covariance,
    np.array([[4.0, 4.0]]),
    np.array([1.0]),
  )
  frame = report.animate(search)[0].astype(int)
  rgb = [int(canvas.GREEN[i : i + 2], 16) for i in (1, 3, 5)]
  rows, columns = np.nonzero(np.abs(frame[:500] - rgb).max(-1) < 30)
  assert np.corrcoef(columns, -rows)[0, 1] > 0.8
