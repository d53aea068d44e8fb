"""Forecasts of M against step by step runs, and the measures by brute force."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.datasets import latents as latents_lib
from nca_tf.memory import cells
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import measures as evaluation
from nca_tf.world_model import mixture
from nca_tf.world_model import model as model_lib

LATENT, ACTIONS, HORIZON = 3, 3, 15
LENGTHS = (31, 60)  # steps; the first dies, the second meets the time limit


@pytest.fixture(scope='module')
def latents():
  random = np.random.default_rng(0)
  total = sum(LENGTHS)
  is_first = np.zeros(total, bool)
  is_first[[0, LENGTHS[0]]] = True
  is_terminal = np.zeros(total, bool)
  is_terminal[LENGTHS[0] - 1] = True
  return latents_lib.Latents(
    mean=random.normal(size=(total, LATENT)).astype(np.float16),
    log_variance=np.full((total, LATENT), -1, np.float16),
    action=random.integers(ACTIONS, size=total).astype(np.int32),
    reward=np.ones(total, np.float32),
    is_first=is_first,
    is_terminal=is_terminal,
    episode=np.repeat([0, 1], LENGTHS).astype(np.int32),
  )


@pytest.fixture(scope='module')
def model():
  keras.utils.set_random_seed(0)
  made = model_lib.MemoryModel(cells.make('lstm', 8), LATENT, ACTIONS, 2)
  made.build()
  return made


@pytest.fixture(scope='module')
def episodes(latents):
  return forecast_lib.pad(latents, ACTIONS)


@pytest.fixture(scope='module')
def forecasts(model, episodes):
  return forecast_lib.forecast(model, episodes, HORIZON)


def _steps(model, episodes, row, until):
  """M stepped by hand over real frames 0..until; forecast and state."""
  state = model.initial(1)
  for t in range(until + 1):
    prediction, state = model.step(
      episodes.z[row : row + 1, t],
      episodes.action[row : row + 1, t],
      episodes.is_first[row : row + 1, t],
      state,
    )
  return prediction, state


def test_padding_tells_frames_from_the_repeated_one(episodes):
  assert episodes.frames.tolist() == [30, 60]
  assert episodes.ended.tolist() == [True, False]
  assert (episodes.z.shape[1] - 1) % forecast_lib.CHUNK == 0


def test_drawn_latents_follow_the_posterior(latents):
  wide = latents._replace(
    mean=np.full((91, 2000), 2, np.float16),
    log_variance=np.full((91, 2000), np.log(0.25), np.float16),
  )
  drawn = forecast_lib.pad(wide, ACTIONS, np.random.default_rng(0))
  values = drawn.z[1, :60]
  assert abs(values.mean() - 2) < 0.01 and abs(values.std() - 0.5) < 0.01


def test_one_step_forecasts_equal_stepping(model, episodes, forecasts):
  for row, t in ((0, 0), (0, 28), (1, 41)):
    prediction, _ = _steps(model, episodes, row, t)
    np.testing.assert_allclose(
      forecasts.mean[row, t],
      mixture.mixture_mean(prediction.latent)[0],
      atol=1e-5,
    )
    np.testing.assert_allclose(
      forecasts.done_logit[row, t], prediction.done_logit[0], atol=1e-5
    )
    nll = mixture.negative_log_likelihood(
      prediction.latent, tf.constant(episodes.z[row : row + 1, t + 1])
    )
    np.testing.assert_allclose(forecasts.nll[row, t], nll[0], atol=1e-5)


def test_open_loop_feeds_back_means_with_real_actions(
  model, episodes, forecasts
):
  row, start = 1, int(forecasts.starts[0])
  assert start == 24
  prediction, state = _steps(model, episodes, row, start)
  for k in range(HORIZON):
    z = mixture.mixture_mean(prediction.latent)
    np.testing.assert_allclose(forecasts.open_loop[row, 0, k], z[0], atol=1e-5)
    prediction, state = model.step(
      z,
      episodes.action[row : row + 1, start + 1 + k],
      np.array([False]),
      state,
    )


def test_one_step_errors_by_brute_force(episodes, forecasts):
  errors = evaluation.one_step(forecasts.mean, episodes)
  for row, frames in enumerate((30, 60)):
    wanted = [
      np.mean((forecasts.mean[row, t] - episodes.z[row, t + 1]) ** 2)
      for t in range(1, frames - 1)
    ]
    assert errors.count[row] == len(wanted)
    np.testing.assert_allclose(errors.total[row], sum(wanted), rtol=1e-5)


def test_baselines_by_brute_force(episodes):
  predicted = evaluation.baselines(episodes.z)
  z = episodes.z[1]
  np.testing.assert_array_equal(predicted['copy last frame'][1, 7], z[7])
  np.testing.assert_allclose(
    predicted['constant velocity'][1, 7], 2 * z[7] - z[6], rtol=1e-6
  )


@pytest.mark.parametrize('name', ['copy last frame', 'constant velocity'])
@pytest.mark.parametrize('horizon', [1, 5, 15])
def test_open_loop_errors_by_brute_force(episodes, forecasts, name, horizon):
  predicted = evaluation.open_loop(forecasts, episodes)[name]
  errors = evaluation.at_horizon(predicted, forecasts.starts, episodes, horizon)
  for row, frames in enumerate((30, 60)):
    wanted = []
    for start in forecasts.starts:
      if start + horizon < frames:
        z = episodes.z[row]
        speed = z[start] - z[start - 1] if name != 'copy last frame' else 0
        guess = z[start] + horizon * speed
        wanted.append(np.mean((guess - z[start + horizon]) ** 2))
    assert errors.count[row] == len(wanted)
    np.testing.assert_allclose(errors.total[row], sum(wanted), rtol=1e-5)


def test_likelihood_counts_real_targets_only(episodes, forecasts):
  errors = evaluation.likelihood(forecasts, episodes)
  assert errors.count.tolist() == [29, 59]
  np.testing.assert_allclose(
    errors.total,
    [forecasts.nll[0, :29].sum(), forecasts.nll[1, :59].sum()],
    rtol=1e-5,
  )


def test_done_labels_stand_on_the_step_that_died(episodes, forecasts):
  (died, scores), (lived, _) = evaluation.done_scores(forecasts, episodes)
  # 31 steps, 30 actions, the last of them fatal; 60 steps without a death.
  assert died.tolist() == [0] * 29 + [1]
  np.testing.assert_array_equal(scores, forecasts.done_logit[0, :30])
  assert lived.tolist() == [0] * 59


def test_done_measures_of_perfect_and_of_useless_scores():
  labels = np.array([0] * 9 + [1])
  perfect = [(labels, 2.0 * labels - 1) for _ in range(8)]
  measures = evaluation.done_measures(perfect)
  assert measures['auc'].mean == measures['precision'] == 1
  useless = [(labels, np.full(10, -1.0)) for _ in range(8)]
  measures = evaluation.done_measures(useless)
  assert measures['auc'].mean == 0.5 and measures['recall'] == 0
  nobody_died = [(np.zeros(10, int), np.zeros(10))]
  assert np.isnan(evaluation.done_measures(nobody_died)['auc'].mean)


def test_difference_is_paired_by_episode():
  random = np.random.default_rng(0)
  count = random.integers(20, 60, 40)
  hard = 10 * random.random(40)  # episodes differ far more than predictors
  worse = evaluation.Errors(count * hard, count)
  better = evaluation.Errors(count * (hard - 0.1), count)
  interval = evaluation.difference(better, worse)
  np.testing.assert_allclose(interval.mean, -0.1, atol=1e-12)
  np.testing.assert_allclose([interval.low, interval.high], -0.1, atol=1e-9)
  other = evaluation.Errors(count * hard, count + 1)
  with pytest.raises(ValueError, match='other must have the forecasts'):
    evaluation.difference(better, other)


def test_pixel_errors_by_brute_force():
  frames = [
    np.full((30, 2, 2, 3), 100, np.uint8),
    np.full((12, 2, 2, 3), 90, np.uint8),
  ]
  drawn = np.full((2, 2, 1), 110, np.float32)  # decodes to its own value

  def decode(latents):
    shades = latents[:, 0].astype(np.uint8)
    return np.tile(shades[:, None, None, None], (1, 2, 2, 3))

  errors = evaluation.pixel_errors(drawn, np.array([4, 9]), frames, 5, decode)
  assert errors.count.tolist() == [2, 1]
  np.testing.assert_allclose(
    errors.total, [2 * (10 / 255) ** 2, (20 / 255) ** 2], rtol=1e-6
  )
