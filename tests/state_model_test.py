"""Models of integer states: codings against NumPy, heads, memory, training."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from nca_tf.datasets import latents
from nca_tf.memory import cells
from nca_tf.training import state as state_training
from nca_tf.world_model.states import codings
from nca_tf.world_model.states import layout as layout_lib
from nca_tf.world_model.states import registry
from nca_tf.world_model.states import state_model

LAYOUT = layout_lib.Layout(size=4, agents=2, enemies=1)


def random_states(shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, LAYOUT.limits + 1, size=(*shape, LAYOUT.components))


def make_model(coding, cell='lstm', seed=0):
  keras.utils.set_random_seed(seed)
  model = state_model.StateModel(
    cells.make(cell, 8, memory_slots=3, word_size=4, read_heads=1),
    LAYOUT,
    registry.make(coding, LAYOUT),
    action_size=6,
  )
  model.build()
  return model


@pytest.fixture(scope='module')
def models():
  return {name: make_model(name) for name in registry.names()}


def test_the_layout_is_the_vector_of_the_original():
  layout = layout_lib.Layout()
  assert (layout.scored, layout.components) == (372, 376)
  assert layout.find('row').places == slice(363, 364)
  assert layout.find('enemies').places == slice(369, 372)
  starts = [group.start for group in layout.groups]
  assert starts[1:] == [group.stop for group in layout.groups[:-1]]
  assert len(layout.limits) == 376
  assert layout.limits[[0, 121, 363, 367, 375]].tolist() == [13, 10, 10, 1, 1]


def test_mixtures_give_the_mass_of_the_integers_interval():
  coding = registry.make('mixture', LAYOUT)
  rng = np.random.default_rng(0)
  present, target = random_states((5,)), random_states((5,), seed=1)
  outputs = [
    rng.normal(size=(5, group.stop - group.start, 15)).astype(np.float32)
    for group in LAYOUT.groups
  ]
  parameters = coding.parameters(tf.constant(present), outputs)
  logits, steps, deviation = np.split(np.concatenate(outputs, 1), 3, -1)
  loc = present[..., None] / 10 + steps
  scale = np.log1p(np.exp(deviation)) + 0.01
  weights = scipy.special.softmax(logits, -1)
  x = target[..., None] / 10
  normal = scipy.stats.norm(loc, scale)
  mass = (weights * (normal.cdf(x + 0.05) - normal.cdf(x - 0.05))).sum(-1)
  likely = mass > 1e-6
  assert likely.mean() > 0.5
  np.testing.assert_allclose(
    coding.nats(parameters, target).numpy()[likely],
    -np.log(mass[likely]),
    rtol=1e-2,
  )
  best = np.take_along_axis(loc, weights.argmax(-1)[..., None], -1)[..., 0]
  np.testing.assert_array_equal(
    coding.decode(parameters),
    np.clip(np.round(best.astype(np.float32) * 10), 0, LAYOUT.limits),
  )


def test_logits_give_the_cross_entropy():
  coding = registry.make('categorical', LAYOUT)
  rng = np.random.default_rng(0)
  target = random_states((5,))
  outputs = [
    rng.normal(size=(5, group.stop - group.start, group.classes))
    for group in LAYOUT.groups
  ]
  parameters = coding.parameters(
    target, [tf.constant(part, tf.float32) for part in outputs]
  )
  nats = coding.nats(parameters, tf.constant(target)).numpy()
  decoded = coding.decode(parameters).numpy()
  for group, part in zip(LAYOUT.groups, outputs, strict=True):
    log = scipy.special.log_softmax(part, -1)
    wanted = target[:, group.places]
    np.testing.assert_allclose(
      nats[:, group.places],
      -np.take_along_axis(log, wanted[..., None], -1)[..., 0],
      rtol=1e-4,
    )
    np.testing.assert_array_equal(decoded[:, group.places], part.argmax(-1))


@pytest.mark.parametrize('name', registry.names())
def test_unrolling_is_stepping(models, name):
  model = models[name]
  x = tf.constant(random_states((2, 5)), tf.int32)
  action = tf.one_hot([[0, 1, 2, 3, 4], [5, 4, 3, 2, 1]], 6)
  is_first = tf.constant([[True, False, False, True, False]] * 2)
  whole, last = model.unroll(x, action, is_first, model.initial(2))
  state = model.initial(2)
  for t in range(5):
    parts, state = model.step(x[:, t], action[:, t], is_first[:, t], state)
    for one, all_of_it in zip(
      keras.tree.flatten(parts), keras.tree.flatten(whole), strict=True
    ):
      np.testing.assert_allclose(one, all_of_it[:, t], atol=1e-5)
  for one, other in zip(state, last, strict=True):
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_untrained_logits_say_that_nothing_changes(models):
  x = tf.constant(random_states((3, 4)), tf.int32)
  model = models['categorical']
  flags = tf.zeros((3, 4), tf.bool)
  parameters, _ = model.unroll(x, tf.zeros((3, 4, 6)), flags, model.initial(3))
  same = model.coding.decode(parameters).numpy() == x.numpy()
  assert same.mean() > 0.95


@pytest.mark.parametrize('name', registry.names())
def test_what_the_cell_remembers_reaches_every_component(models, name):
  model = models[name]
  x = tf.constant(random_states((1,)), tf.int32)
  action, no = tf.one_hot([1], 6), tf.constant([False])
  state = [tf.constant(part) for part in model.initial(1)]
  with tf.GradientTape() as tape:
    tape.watch(state)
    parameters, _ = model.step(x, action, no, state)
    nats = model.coding.nats(parameters, x)[0]
  reached = tape.jacobian(nats, state[0])
  assert np.all(np.abs(reached.numpy()).sum((1, 2)) > 0)


@pytest.mark.parametrize('cell', cells.names())
def test_training_learns_a_countdown(cell):
  # Copying the last state would be wrong about most of the lives.
  rng = np.random.default_rng(0)
  states = np.zeros((40, 6, LAYOUT.components), np.uint8)
  life = LAYOUT.find('bomb life')
  start = rng.integers(0, 10, size=(40, 16))
  for t in range(6):
    states[:, t, life.places] = np.maximum(start - t, 0)
  games = latents.Latents(
    mean=states.reshape(240, -1),
    log_variance=np.zeros((240, 0)),
    action=np.zeros(240, np.int32),
    reward=np.zeros(240, np.float32),
    is_first=np.arange(240) % 6 == 0,
    is_terminal=np.zeros(240, bool),
    episode=np.arange(240) // 6,
  )
  model = make_model('categorical', cell)
  streams = latents.Streams(games, 8, 6, seed=0)
  trainer = state_training.StateTrainer(
    model, streams, steps=60, learning_rate=2e-2
  )
  losses = [float(trainer.step(index)['loss']) for index in range(60)]
  assert losses[-1] < 0.3 * losses[0]
  x = tf.constant(states[:4], tf.int32)
  flags = tf.zeros((4, 6), tf.bool)
  parameters, _ = model.unroll(x, tf.zeros((4, 6, 6)), flags, model.initial(4))
  guess = model.coding.decode(parameters).numpy()
  wrong = guess[:, :-1] != states[:4, 1:]
  assert wrong[..., life.places].mean() < 0.1


def test_nothing_is_learnt_across_games_or_after_death():
  is_first = tf.constant([[False, False, True, False]])
  is_terminal = tf.constant([[False, False, False, True]])
  nats = np.ones((1, 3, LAYOUT.components), np.float32)
  nats[:, 1] = 100  # Another game's first state.
  nats[:, 2, : LAYOUT.scored] = 100  # Behind death.
  mean = state_training._masked_mean(
    tf.constant(nats), is_first, is_terminal, LAYOUT
  )
  assert float(mean) == pytest.approx(1.0)
  nats[:, 2, LAYOUT.scored :] = 3
  mean = state_training._masked_mean(
    tf.constant(nats), is_first, is_terminal, LAYOUT
  )
  assert float(mean) > 1.0


def test_unknown_codings_are_named():
  with pytest.raises(ValueError, match="categorical, mixture, got 'binary'"):
    registry.make('binary', LAYOUT)
  with pytest.raises(ValueError, match='components must be an integer'):
    codings.MixtureCoding(LAYOUT, 0)
