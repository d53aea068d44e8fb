"""M with every registered cell: steps, resets, masks and its loss."""

import keras
import memory_models
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.datasets import latents as latents_lib
from nca_tf.memory import cells
from nca_tf.training import model as model_training
from nca_tf.world_model import mixture
from nca_tf.world_model import model as model_lib

BATCH, TIME, LATENT, ACTIONS = 3, 6, 4, 2
SMALL = {'memory_slots': 5, 'word_size': 4, 'read_heads': 2}


def make_model(cell, units=8, **options):
  keras.utils.set_random_seed(0)
  made = cells.make(cell, units, **SMALL)
  model = model_lib.MemoryModel(made, LATENT, ACTIONS, 2, **options)
  model.build()
  return model


@pytest.fixture(scope='module', params=memory_models.KINDS)
def model(request):
  return memory_models.make(request.param, LATENT, ACTIONS, reward=True)


@pytest.fixture(scope='module', params=cells.names())
def gaussian(request):
  return make_model(request.param, reward=True)


@pytest.fixture(scope='module')
def sequence():
  random = np.random.default_rng(1)
  z = random.normal(size=(BATCH, TIME, LATENT)).astype(np.float32)
  action = np.eye(ACTIONS, dtype=np.float32)[
    random.integers(ACTIONS, size=(BATCH, TIME))
  ]
  is_first = np.zeros((BATCH, TIME), bool)
  is_first[:, 0] = True
  return z, action, is_first


def _arrays(prediction):
  return [np.asarray(part) for part in keras.tree.flatten(prediction)]


def _assert_same(one, other, atol=2e-6):
  for a, b in zip(_arrays(one), _arrays(other), strict=True):
    np.testing.assert_allclose(a, b, atol=atol)


def test_unroll_equals_steps(model, sequence):
  whole, last = model.unroll(*sequence, model.initial(BATCH))
  state = model.initial(BATCH)
  for t in range(TIME):
    step, state = model.step(*(part[:, t] for part in sequence), state)
    at = keras.tree.map_structure(lambda part, t=t: part[:, t], whole)
    _assert_same(step, at)
  _assert_same(state, last)


def test_state_carries_over_windows(model, sequence):
  whole, last = model.unroll(*sequence, model.initial(BATCH))
  _, middle = model.unroll(
    *(part[:, :2] for part in sequence), model.initial(BATCH)
  )
  rest, state = model.unroll(*(part[:, 2:] for part in sequence), middle)
  _assert_same(rest, keras.tree.map_structure(lambda part: part[:, 2:], whole))
  _assert_same(state, last)


def test_an_episode_start_forgets_what_was_before(model, sequence):
  z, action, is_first = sequence
  is_first = is_first.copy()
  is_first[1, 3] = True
  whole, _ = model.unroll(z, action, is_first, model.initial(BATCH))
  fresh, _ = model.unroll(
    z[1:2, 3:], action[1:2, 3:], is_first[1:2, 3:], model.initial(1)
  )
  row = keras.tree.map_structure(lambda part: part[1:2, 3:], whole)
  _assert_same(row, fresh)


def test_batch_rows_do_not_touch_each_other(model, sequence):
  whole, _ = model.unroll(*sequence, model.initial(BATCH))
  single, _ = model.unroll(*(part[:1] for part in sequence), model.initial(1))
  _assert_same(keras.tree.map_structure(lambda part: part[:1], whole), single)


def test_state_has_a_name_for_each_tensor(model):
  names = cells.state_names(model.cell)
  assert len(names) == len(set(names)) == len(model.initial(2))
  features = model.features(model.initial(2))
  assert set(features) == set(names) & set(cells.feature_names())
  assert all(part.shape[0] == 2 for part in features.values())


def _transitions(sequence, terminal=()):
  z, action, is_first = sequence
  is_terminal = np.zeros_like(is_first)
  for place in terminal:
    is_terminal[place] = True
  reward = np.linspace(-1, 1, BATCH * TIME, dtype=np.float32)
  return model_lib.Transitions(
    *(
      tf.constant(part)
      for part in (
        z,
        action,
        reward.reshape(BATCH, TIME),
        is_first,
        is_terminal,
      )
    )
  )


def _predict(model, transitions):
  return model.unroll(
    transitions.z[:, :-1],
    transitions.action[:, :-1],
    transitions.is_first[:, :-1],
    model.initial(BATCH),
  )[0]


def test_loss_against_numpy(gaussian, sequence):
  transitions = _transitions(sequence, terminal=[(0, 4), (2, 5)])
  prediction = _predict(gaussian, transitions)
  terms = model_lib.model_loss(prediction, transitions, done_weight=10)
  nll = mixture.negative_log_likelihood(
    prediction.latent, transitions.z[:, 1:]
  ).numpy()
  ended = transitions.is_terminal.numpy()[:, 1:]
  probability = 1 / (1 + np.exp(-prediction.done_logit.numpy()))
  done = -np.where(ended, 10 * np.log(probability), np.log(1 - probability))
  error = prediction.reward.numpy() - transitions.reward.numpy()[:, :-1]
  wanted = {
    'nll': nll[~ended].mean(),
    'done_loss': done.mean(),
    'reward_loss': np.square(error).mean(),
  }
  for name, value in wanted.items():
    np.testing.assert_allclose(terms[name], value, rtol=1e-5)
  np.testing.assert_allclose(terms['loss'], sum(wanted.values()), rtol=1e-5)


def test_nothing_is_learned_across_the_border_of_episodes(gaussian, sequence):
  z, action, is_first = sequence
  is_first = is_first.copy()
  is_first[1, 3] = True
  other = z.copy()
  other[1, 3] += 5  # first frame of the next episode: no target
  transitions = _transitions((z, action, is_first))
  prediction = _predict(gaussian, transitions)
  one = model_lib.model_loss(prediction, transitions)
  two = model_lib.model_loss(
    prediction, _transitions((other, action, is_first))
  )
  assert float(one['loss']) == float(two['loss'])
  _, done_mask = model_lib.masks(transitions.is_first, transitions.is_terminal)
  assert not done_mask[1, 2] and done_mask[1, 3]


def test_the_repeated_frame_after_death_is_no_target(gaussian, sequence):
  z, action, is_first = sequence
  other = z.copy()
  other[0, 5] += 5
  death = [(0, 5)]
  transitions = _transitions(sequence, death)
  prediction = _predict(gaussian, transitions)
  one = model_lib.model_loss(prediction, transitions)
  two = model_lib.model_loss(
    prediction, _transitions((other, action, is_first), death)
  )
  assert float(one['nll']) == float(two['nll'])
  alive = model_lib.model_loss(prediction, _transitions(sequence))
  assert float(one['done_loss']) != float(alive['done_loss'])


def test_the_error_of_large_rewards_counts_in_their_deviations(sequence):
  rewards = np.random.default_rng(0).normal(3, 20, 500)
  weight = model_training.reward_weight(np.float32(rewards))
  assert weight == pytest.approx(1 / np.var(rewards), rel=1e-5)
  assert model_training.reward_weight(np.ones(9)) == 1
  assert model_training.reward_weight(rewards / 100) == 1
  model = make_model('lstm', reward=True)
  transitions = _transitions(sequence)
  said = _predict(model, transitions)
  plain = model_lib.model_loss(said, transitions)
  weighed = model_lib.model_loss(said, transitions, reward_weight=0.25)
  assert float(plain['reward_loss']) == float(weighed['reward_loss']) > 0
  less = float(plain['loss'] - weighed['loss'])
  assert less == pytest.approx(0.75 * float(plain['reward_loss']), rel=1e-4)


def test_every_weight_learns(gaussian, sequence):
  transitions = _transitions(sequence, terminal=[(0, 4)])
  with tf.GradientTape() as tape:
    loss = model_lib.model_loss(_predict(gaussian, transitions), transitions)
  gradients = tape.gradient(loss['loss'], gaussian.trainable_variables)
  for variable, gradient in zip(
    gaussian.trainable_variables, gradients, strict=True
  ):
    assert gradient is not None and np.any(gradient), variable.path


@pytest.mark.parametrize('cell', cells.names())
def test_mixed_precision_keeps_heads_and_loss_in_float32(cell, sequence):
  before = keras.config.dtype_policy()
  keras.config.set_dtype_policy('mixed_bfloat16')
  try:
    model = make_model(cell)
    transitions = _transitions(sequence)
    prediction = _predict(model, transitions)
    _, state = model.unroll(*sequence, model.initial(BATCH))
  finally:
    keras.config.set_dtype_policy(before)
  assert model.trainable_variables[0].dtype == 'float32'
  for before, after in zip(model.initial(BATCH), state, strict=True):
    assert after.dtype == before.dtype
  assert prediction.latent.loc.dtype == tf.float32
  assert prediction.done_logit.dtype == tf.float32
  loss = model_lib.model_loss(prediction, transitions)['loss']
  assert loss.dtype == tf.float32 and np.isfinite(loss)


@pytest.mark.parametrize(
  ('action', 'size'),
  [
    (np.array([[0, 2, 1]], np.int32), 3),
    (np.array([[-0.5, 0.1, 1]], np.float32), 1),
    (np.array([[[-0.5, 0], [0.1, 0.3], [1, 0]]], np.float32), 2),
  ],
)
def test_transitions_hold_both_kinds_of_action(action, size):
  flags = np.zeros((1, 3), bool)
  window = latents_lib.Latents(
    mean=np.ones((1, 3, LATENT), np.float16),
    log_variance=np.full((1, 3, LATENT), np.log(4), np.float16),
    action=action,
    reward=np.zeros((1, 3), np.float32),
    is_first=flags,
    is_terminal=flags,
    episode=np.zeros((1, 3), np.int32),
  )
  window = model_training.tensors(window)
  transitions = model_training.sample_transitions(window, size)
  wanted = np.eye(3)[action] if size == 3 else action.reshape(1, 3, size)
  np.testing.assert_array_equal(transitions.action, wanted)
  np.testing.assert_array_equal(transitions.z, np.ones((1, 3, LATENT)))
  drawn = model_training.sample_transitions(window, size, np.array([1, 2]))
  assert np.std(drawn.z) > 0.5


def test_windows_of_an_epoch_train_as_one_long_unroll():
  """The carried state, and its reset where an epoch begins."""
  model = make_model('lstm')
  lengths = [13] * 4
  random = np.random.default_rng(0)
  total = sum(lengths)
  is_first = np.zeros(total, bool)
  is_first[::13] = True
  data = latents_lib.Latents(
    mean=random.normal(size=(total, LATENT)).astype(np.float16),
    log_variance=np.full((total, LATENT), -20, np.float16),
    action=random.integers(ACTIONS, size=total).astype(np.int32),
    reward=np.zeros(total, np.float32),
    is_first=is_first,
    is_terminal=np.roll(is_first, -1),
    episode=np.repeat(np.arange(4), 13).astype(np.int32),
  )
  streams = latents_lib.Streams(data, 2, 6, seed=0)
  assert streams.windows_per_epoch == 4
  trainer = model_training.ModelTrainer(
    model, streams, seed=0, learning_rate=0.0
  )
  steps = [trainer.step(index) for index in range(5)]
  whole = latents_lib.Streams(data, 2, 24, seed=0).window(0)[1]
  transitions = model_training.sample_transitions(
    model_training.tensors(whole), ACTIONS
  )
  prediction, state = model.unroll(
    transitions.z[:, :-1],
    transitions.action[:, :-1],
    transitions.is_first[:, :-1],
    model.initial(2),
  )
  terms = model_lib.model_loss(prediction, transitions)
  masks = model_lib.masks(transitions.is_first, transitions.is_terminal)
  shares = np.asarray(masks[0], float).reshape(2, 4, 6).sum((0, 2))
  nll = np.average([step['nll'] for step in steps[:4]], weights=shares)
  np.testing.assert_allclose(nll, terms['nll'], rtol=1e-3)
  first = streams.window(4)[1].is_first
  assert not np.allclose(trainer.state[0], state[0])
  assert first.shape == (2, 7)
