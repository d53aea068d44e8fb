"""Deaths in futures that M imagines, against a run step by step."""

import keras
import numpy as np
import pytest

from nca_tf.datasets import latents as latents_lib
from nca_tf.memory import cells
from nca_tf.training import done_head
from nca_tf.world_model import forecast
from nca_tf.world_model import hazard
from nca_tf.world_model import model as model_lib

LATENT, ACTIONS, HORIZON = 3, 3, 8
LENGTHS = (31, 12, 60)  # Steps; the first two die, the third is cut off.
COLD = 1e-9  # A temperature that leaves nothing to chance.


@pytest.fixture(scope='module')
def latents():
  random = np.random.default_rng(0)
  total, ends = sum(LENGTHS), np.cumsum(LENGTHS)
  is_first, is_terminal = np.zeros((2, total), bool)
  is_first[[0, *ends[:-1]]] = True
  is_terminal[ends[:2] - 1] = True
  return latents_lib.Latents(
    mean=random.normal(size=(total, LATENT)).astype(np.float16),
    log_variance=np.full((total, LATENT), -30, np.float16),
    action=random.integers(ACTIONS, size=total).astype(np.int32),
    reward=np.ones(total, np.float32),
    is_first=is_first,
    is_terminal=is_terminal,
    episode=np.repeat([0, 1, 2], LENGTHS).astype(np.int32),
  )


@pytest.fixture(scope='module', params=cells.names())
def model(request):
  keras.utils.set_random_seed(0)
  cell = cells.make(request.param, 8, memory_slots=5, word_size=4, read_heads=1)
  made = model_lib.MemoryModel(cell, LATENT, ACTIONS, 2)
  made.build()
  return made


@pytest.fixture(scope='module')
def futures(model, latents):
  parts = list(hazard.imagine(model, latents, HORIZON, 0, COLD))
  return hazard.Futures(*map(np.concatenate, zip(*parts, strict=True)))


def _by_hand(model, latents, part, start):
  """Outputs and logits of HORIZON steps from a step of an episode."""
  state, found, imagined = model.initial(1), [], None
  action = forecast.one_hot(latents.action, ACTIONS)
  for t in range(part.start, part.stop):
    step = t - part.start
    if step >= start + HORIZON:
      break
    z = latents.mean[None, t] if step <= start else imagined
    output, state = model.advance(
      z, action[None, t], np.array([step == 0]), state
    )
    prediction = model.read_out(output)
    logits, loc, _ = map(np.asarray, prediction.latent)
    best = logits.argmax(-1)[..., None]
    imagined = np.take_along_axis(loc, best, -1)[..., 0]
    if step >= start:
      found.append((np.asarray(output)[0], float(prediction.done_logit[0])))
  return found


def test_futures_are_those_of_m_alone(model, latents, futures):
  for episode, part in enumerate(latents.episodes):
    rows = np.flatnonzero(futures.episode == episode)
    assert len(rows) == -(-(LENGTHS[episode] - 1) // hazard.SPACING)
    for number, row in enumerate(rows):
      found = _by_hand(model, latents, part, number * hazard.SPACING)
      for k, (output, logit) in enumerate(found):
        np.testing.assert_allclose(futures.output[row, k], output, atol=2e-4)
        np.testing.assert_allclose(futures.done_logit[row, k], logit, atol=5e-4)


def test_futures_know_what_happened(latents, futures):
  for episode, part in enumerate(latents.episodes):
    rows = np.flatnonzero(futures.episode == episode)
    for number, row in enumerate(rows):
      reached = part.start + number * hazard.SPACING + np.arange(1, HORIZON + 1)
      happened = reached < part.stop
      died = happened & latents.is_terminal[np.minimum(reached, part.stop - 1)]
      np.testing.assert_array_equal(futures.happened[row], happened)
      np.testing.assert_array_equal(futures.died[row], died)
  assert futures.died.sum() >= 2


def test_the_ratio_is_imagined_over_real_deaths(model, latents):
  head = model.done_head
  before = head.get_weights()
  logit, weight = -1.0, 10.0
  head.set_weights([np.zeros_like(before[0]), np.full(1, logit)])
  found = hazard.measure(model, latents, weight, 0)
  head.set_weights(before)
  each = 1 / (1 + weight * np.exp(-logit))
  for (first, last), group in found.items():
    steps = deaths = 0
    for part in latents.episodes:
      for start in range(part.start, part.stop - 1, hazard.SPACING):
        reached = np.arange(start + first, min(start + last + 1, part.stop))
        steps += len(reached)
        deaths += latents.is_terminal[reached].sum()
    value = hazard.ratio(group).mean
    if deaths:
      assert value == pytest.approx(each * steps / deaths, rel=1e-5)
      assert hazard.area(group) == pytest.approx(0.5)
    else:
      assert np.isnan(value)
  text = hazard.tabulate({'M': found}).text()
  assert 'real deaths' in text


def test_a_set_without_deaths_has_no_ratio(model, latents):
  survivors = latents_lib.select(latents, [2])
  found = hazard.measure(model, survivors, 10.0, 0)
  assert all(np.isnan(hazard.ratio(group).mean) for group in found.values())
  assert all(np.isnan(hazard.area(group)) for group in found.values())
  assert not done_head.collect(model, survivors, 0).died.any()


def test_rows_stand_for_every_step_that_happened(model, latents):
  many = latents_lib.select(latents, [0, 1, 2] * 30)
  rows = done_head.collect(model, many, 0)
  starts = [range(0, length - 1, hazard.SPACING) for length in LENGTHS]
  steps = sum(
    min(length - 1 - start, done_head.HORIZON)
    for length, some in zip(LENGTHS, starts, strict=True)
    for start in some
  )
  deaths = sum(
    length - 1 - start <= done_head.HORIZON
    for length, some in zip(LENGTHS[:2], starts, strict=False)
    for start in some
  )
  assert rows.died.sum() == 30 * deaths
  assert rows.weight[rows.died > 0].tolist() == [1] * (30 * deaths)
  assert rows.weight.sum() == pytest.approx(30 * steps, rel=0.05)
  again = done_head.collect(model, many, 0)
  np.testing.assert_array_equal(rows.output, again.output)


def test_the_fitted_head_imagines_as_many_deaths_as_there_were():
  random = np.random.default_rng(0)
  output = random.normal(size=(60_000, 6)).astype(np.float32)
  logit = output @ np.array([1, -1, 0.5, 0, 0, 2]) - 5
  died = random.random(len(logit)) < 1 / (1 + np.exp(-logit))
  rows = done_head.Rows(
    output, died.astype(np.float32), np.ones(len(died), np.float32)
  )
  head = keras.layers.Dense(1)
  head.build((None, 6))
  done_head.fit(head, rows, 10.0)
  shifted = np.asarray(head(output))[:, 0] - np.log(10)
  imagined = 1 / (1 + np.exp(-shifted))
  assert imagined.sum() == pytest.approx(died.sum(), rel=0.02)
  far = output[:, 5] > 1  # Where deaths are frequent.
  assert imagined[far].sum() == pytest.approx(died[far].sum(), rel=0.05)
