"""A controller with one M in the dream of another."""

import dataclasses

import memory_models
import numpy as np
import pytest
import tensorflow as tf
import tiny_world_models

from nca_tf.command_line import config_flags
from nca_tf.command_line import faults
from nca_tf.experiments.controller import run as controller_run
from nca_tf.experiments.controller import settings
from nca_tf.world_model import dream as dream_lib
from nca_tf.world_model import guest
from nca_tf.world_model import world_model as world_model_lib

LATENT, ACTIONS, LANES = 3, 2, 4


def make_dream(model):
  starts = np.random.default_rng(0).normal(size=(2, 5, LATENT))
  return dream_lib.Dream(model, starts.astype(np.float32), horizon=6)


def play(dream, steps=3):
  """Observations, survival and z of a few steps of fixed actions."""
  state, _ = dream.reset(LANES, 1)
  found = []
  for step in range(steps):
    action = tf.one_hot([step % ACTIONS] * LANES, ACTIONS)
    state, observation, *_ = dream.step(state, action, step)
    found.append((observation, state.survival, state.z))
  return found


@pytest.mark.parametrize('kind', memory_models.KINDS)
def test_the_host_dreams_and_the_guest_watches(kind):
  host = memory_models.make(kind, LATENT, ACTIONS, seed=1)
  watcher = memory_models.make('lstm', LATENT, ACTIONS, units=5, seed=2)
  both = play(make_dream(guest.Guest(host, watcher)))
  alone = play(make_dream(host))
  # The guest as it would be in the game, by its own unroll.
  state, _ = make_dream(host).reset(LANES, 1)
  z, memory, is_first = state.z, watcher.initial(LANES), state.is_first
  for step, (ours, theirs) in enumerate(zip(both, alone, strict=True)):
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6, atol=1e-6)
    action = tf.one_hot([step % ACTIONS] * LANES, ACTIONS)
    _, memory = watcher.step(z, action, is_first, memory)
    z, is_first = theirs[2], tf.zeros_like(is_first)
    wanted = watcher.features(memory)
    assert ours[0].keys() == {'z', *wanted}
    for name, part in wanted.items():
      np.testing.assert_allclose(ours[0][name], part, rtol=1e-5, atol=1e-6)


def test_ms_of_other_latents_are_refused():
  host = memory_models.make('lstm', LATENT, ACTIONS)
  with pytest.raises(ValueError, match='guest must have latent_size 3, got 4'):
    guest.Guest(host, memory_models.make('lstm', 4, ACTIONS))
  with pytest.raises(ValueError, match='guest must have action_size 2, got 3'):
    guest.Guest(host, memory_models.make('lstm', LATENT, 3))


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """Two Ms on one V, and one with a V of its own."""
  folder = tmp_path_factory.mktemp('models')
  first = tiny_world_models.train(folder / 'first')
  source = f'--rollouts={folder / "first-rollouts"}'
  shared = f'--initial_vision={first}'
  second = tiny_world_models.train(
    folder / 'second', 'dnc', source, shared, '--model_steps=6'
  )
  other = tiny_world_models.train(folder / 'other', 'lstm', source, '--seed=1')
  return first, second, other


def resolve(*flags):
  return config_flags.resolve(settings.Config, ['--preset=smoke', *flags])


def test_world_model_plays_in_the_dream_of_another(models):
  first, second, _ = models
  config = resolve(
    f'--world_model={first}', f'--dream_of={second}', '--iterations=1'
  )
  model = controller_run.load_world_model(config, config.world_model)
  dream = model.dream()
  state, observation = dream.reset(2, 0)
  assert observation.keys() == {'z', 'h', 'c'}
  host = world_model_lib.WorldModel.load(second)
  alone, _ = host.dream().reset(2, 0)
  action = tf.one_hot([0, 1], 3)
  state, *_ = dream.step(state, action, 5)
  alone, *_ = host.dream().step(alone, action, 5)
  np.testing.assert_allclose(state.survival, alone.survival, rtol=1e-6)
  weight = dataclasses.replace(host, done_weight=3.0)
  eased = model.in_dream_of(weight).dream()
  assert eased._shift == pytest.approx(np.log(3.0))


def test_wrong_hosts_are_one_line(models, tmp_path):
  first, second, other = models
  config = resolve(
    f'--world_model={first}', f'--dream_of={other}', '--iterations=1'
  )
  with pytest.raises(faults.UsageError, match='--dream_of: .* the same V'):
    controller_run.load_world_model(config, config.world_model)
  for flags, message in (
    (
      (f'--dream_of={tmp_path}',),
      '--dream_of must be the folder of a finished',
    ),
    (
      (f'--dream_of={second}',),
      '--iterations must be 1 with --dream_of, got 2',
    ),
    (
      (f'--dream_of={second}', '--iterations=1', '--in=game'),
      '--in must be dream with --dream_of, got game',
    ),
  ):
    with pytest.raises(faults.UsageError, match=message) as caught:
      resolve(f'--world_model={first}', *flags)
    assert '\n' not in str(caught.value)
