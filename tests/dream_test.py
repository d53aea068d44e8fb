"""The dream against episodes played one step at a time, and its lanes."""

import memory_models
import numpy as np
import pytest
import tensorflow as tf

from nca_tf.memory import cells
from nca_tf.world_model import controller as controller_lib
from nca_tf.world_model import dream as dream_lib
from nca_tf.world_model import mixture
from nca_tf.world_model import model as model_lib

Z, UNITS, HORIZON, CANDIDATES, ROLLOUTS = 4, 8, 12, 3, 8
SEED = (5, 6)


@pytest.fixture(scope='module')
def starts():
  random = np.random.default_rng(0)
  return (
    random.normal(size=(5, Z)).astype(np.float32),
    random.normal(size=(5, Z)).astype(np.float32) - 1,
  )


@pytest.fixture(scope='module', params=memory_models.KINDS)
def model(request):
  """An M whose episodes end now and then, and not all at once."""
  made = memory_models.make(request.param, Z, 3, UNITS, seed=1)
  made.done_head.kernel.assign(made.done_head.kernel * 8)
  # That of an M over codes is farther from the end.
  biases = {memory_models.CODES: 2.0, memory_models.STATE_SPACE: 2.5}
  made.done_head.bias.assign([biases.get(request.param, -1.0)])
  return made


def make(model, starts, **options):
  options = {'horizon': HORIZON, 'temperature': 1.2, **options}
  return dream_lib.Dream(model, starts, **options)


def controller_of(model):
  sizes = {'z': Z, 'h': UNITS}
  if 'reads' in model.features(model.initial(1)):
    sizes['reads'] = 8
  return controller_lib.LinearController(sizes, 3)


def candidates(controller):
  random = np.random.default_rng(3)
  return tf.constant(
    random.normal(size=(CANDIDATES, controller.size)), 'float32'
  )


def play(dream, controller, parameters, lanes, rollouts=ROLLOUTS):
  return dream.play(
    dream_lib.follow(controller, parameters),
    len(parameters),
    dream.make_noise(rollouts, SEED),
    lanes,
  )


def test_noise_on_the_sums_is_what_moves_the_actions(model, starts):
  dream = make(model, starts)
  controller = controller_of(model)
  shape = ROLLOUTS, HORIZON, 1
  rest = np.zeros((2, controller.size), np.float32)

  def scores(parameters, noise):
    act = dream_lib.follow(controller, parameters, noise)
    lanes = dream.make_noise(ROLLOUTS, SEED)
    return dream.play(act, len(parameters), lanes, 5).scores

  for push in (-3.0, 0.0, 3.0):
    biased = rest.copy()
    biased[:, -1] = push
    np.testing.assert_array_equal(
      scores(rest, tf.fill(shape, push)), scores(biased, None)
    )
  steps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  one, other = scores(rest, tf.constant(steps))
  np.testing.assert_array_equal(one, other)  # All candidates get the same.
  assert np.any(one != scores(rest, None)[0])


def one_by_one(model, dream, controller, parameters, fitness, shift):
  """The same episodes without lanes: plain loops over model.step."""
  noise = dream.make_noise(ROLLOUTS, SEED)
  scores = np.zeros((len(parameters), ROLLOUTS))
  steps = 0
  for candidate in range(len(parameters)):
    for rollout in range(ROLLOUTS):
      z, state = noise.start[rollout][None], model.initial(1)
      alive = 1.0
      for t in range(HORIZON):
        features = {'z': z, **model.features(state)}
        action = controller.act(parameters[candidate], features)
        prediction, state = model.step(
          z, controller.encode(action), tf.constant([t == 0]), state
        )
        z = model.latent_head.draw(
          prediction.latent,
          noise.uniform[rollout, t][None],
          noise.normal[rollout, t][None],
          1.2,
        )
        logit = float(prediction.done_logit[0])
        if fitness == 'expected':
          alive *= 1 - 1 / (1 + np.exp(shift - logit))
        else:
          alive *= logit <= 0
        scores[candidate, rollout] += alive
        steps += 1
        if alive < 0.01:
          break
  return scores, steps


@pytest.mark.parametrize('fitness', ['expected', 'sampled'])
def test_a_game_with_rewards_scores_the_rewards_of_the_living(starts, fitness):
  tf.keras.utils.set_random_seed(2)
  model = model_lib.MemoryModel(cells.make('lstm', UNITS), Z, 3, 2, reward=True)
  model.build()
  model.done_head.bias.assign([-0.5])
  dream = make(model, starts, fitness=fitness)
  controller = controller_of(model)
  parameters = candidates(controller)
  noise = dream.make_noise(ROLLOUTS, SEED)
  played = play(dream, controller, parameters, lanes=5).scores
  expected = np.zeros((CANDIDATES, ROLLOUTS))
  for candidate, rollout in np.ndindex(*expected.shape):
    z, state, alive = noise.start[rollout][None], model.initial(1), 1.0
    for t in range(HORIZON):
      features = {'z': z, **model.features(state)}
      action = controller.act(parameters[candidate], features)
      said, state = model.step(
        z, controller.encode(action), tf.constant([t == 0]), state
      )
      drawn = noise.uniform[rollout, t][None], noise.normal[rollout, t][None]
      z = mixture.transform(said.latent, *drawn, 1.2)
      # The step that ends the game still has its reward.
      expected[candidate, rollout] += alive * float(said.reward[0])
      logit = float(said.done_logit[0])
      dead = 1 / (1 + np.exp(-logit)) if fitness == 'expected' else logit > 0
      alive *= 1 - dead
      if alive < 0.01:
        break
  np.testing.assert_allclose(played, expected, rtol=2e-4, atol=1e-4)
  assert np.unique(expected).size > CANDIDATES


@pytest.mark.parametrize(
  ('fitness', 'weight'), [('expected', 10.0), ('sampled', 10.0)]
)
def test_lanes_play_the_episodes_that_plain_loops_play(
  model, starts, fitness, weight
):
  dream = make(model, starts, fitness=fitness, done_weight=weight)
  controller = controller_of(model)
  parameters = candidates(controller)
  expected, steps = one_by_one(
    model, dream, controller, parameters, fitness, np.log(weight)
  )
  played = play(dream, controller, parameters, lanes=5)
  np.testing.assert_allclose(played.scores, expected, rtol=2e-4, atol=1e-4)
  assert int(played.steps) == steps  # dead lanes cost nothing
  assert len(np.unique(expected)) > CANDIDATES


@pytest.mark.parametrize('lanes', [1, 12, 100])
def test_the_number_of_lanes_changes_nothing(model, starts, lanes):
  dream = make(model, starts)
  controller = controller_of(model)
  parameters = candidates(controller)
  np.testing.assert_allclose(
    play(dream, controller, parameters, lanes).scores,
    play(dream, controller, parameters, 5).scores,
    rtol=1e-4,
  )


def test_xla_plays_the_same(model, starts):
  dream = make(model, starts)
  controller = controller_of(model)
  parameters = candidates(controller)
  compiled = tf.function(
    lambda: play(dream, controller, parameters, 5),
    autograph=False,
    jit_compile=True,
  )
  np.testing.assert_allclose(
    compiled().scores,
    play(dream, controller, parameters, 5).scores,
    rtol=1e-3,
  )


def test_equal_candidates_meet_equal_dreams(model, starts):
  dream = make(model, starts)
  controller = controller_of(model)
  parameters = tf.repeat(candidates(controller)[:1], 3, 0)
  survived = play(dream, controller, parameters, lanes=5).scores.numpy()
  np.testing.assert_allclose(survived[0], survived[1], rtol=1e-5)
  assert len(np.unique(survived[0])) == ROLLOUTS


@pytest.mark.parametrize('bias', [-50.0, 50.0])
def test_nobody_dies_or_everybody_at_once(model, starts, bias):
  kernel, old = model.done_head.kernel + 0, model.done_head.bias + 0
  model.done_head.kernel.assign(kernel * 0)
  model.done_head.bias.assign([bias])
  try:
    for fitness in dream_lib.FITNESS:
      dream = make(model, starts, fitness=fitness)
      controller = controller_of(model)
      played = play(dream, controller, candidates(controller), lanes=5)
      episodes = CANDIDATES * ROLLOUTS
      if bias < 0:
        np.testing.assert_allclose(played.scores, HORIZON, rtol=1e-5)
        assert int(played.steps) == episodes * HORIZON
      else:
        np.testing.assert_allclose(played.scores, 0, atol=1e-5)
        assert int(played.steps) == episodes
  finally:
    model.done_head.kernel.assign(kernel)
    model.done_head.bias.assign(old)


def test_scripts_are_replayed_rollout_by_rollout(model, starts):
  dream = make(model, starts)
  controller = controller_of(model)
  # A controller without weights acts by its bias alone: always right.
  parameters = np.zeros((1, controller.size), np.float32)
  parameters[0, -1] = 5
  right = tf.one_hot(np.full((ROLLOUTS, HORIZON), 2), 3)
  replayed = dream.play(
    dream_lib.replay(right), 1, dream.make_noise(ROLLOUTS, SEED), 3
  )
  np.testing.assert_allclose(
    replayed.scores,
    play(dream, controller, tf.constant(parameters), 3).scores,
    rtol=1e-5,
  )


def test_environment_steps_until_death_or_the_horizon(model, starts):
  dream = make(model, starts, horizon=2)
  state, observation = dream.reset(lanes=6, seed=1)
  assert state.is_first.numpy().all()
  assert not observation['h'].numpy().any()
  action = tf.one_hot([0, 1, 2, 0, 1, 2], 3)
  state, observation, reward, terminated, truncated = dream.step(
    state, action, seed=2
  )
  assert observation['h'].numpy().any()
  np.testing.assert_allclose(reward, state.survival)
  assert not truncated.numpy().any()
  assert np.all(reward.numpy() < 1)
  *_, reward, terminated, truncated = dream.step(state, action, seed=3)
  np.testing.assert_array_equal(terminated, reward.numpy() < 0.01)
  np.testing.assert_array_equal(truncated, ~terminated.numpy())


def test_starts_are_drawn_from_the_posterior_of_first_frames():
  model = memory_models.make('lstm', Z, 3, UNITS)
  mean = np.array([[0.0] * Z, [10.0] * Z], np.float32)
  dream = make(model, (mean, np.full((2, Z), np.log(0.25), np.float32)))
  z = dream.reset(lanes=4000, seed=1)[0].z.numpy()
  high = z.mean(1) > 5
  assert abs(high.mean() - 0.5) < 0.05
  assert abs(z[high].mean() - 10) < 0.05
  assert abs(z[~high].std() - 0.5) < 0.02


def test_seeds_determine_the_dream(model, starts):
  dream = make(model, starts)
  first = dream.make_noise(2, 1)
  np.testing.assert_array_equal(first.uniform, dream.make_noise(2, 1).uniform)
  np.testing.assert_array_equal(first.normal, dream.make_noise(2, 1).normal)
  assert np.any(first.uniform != dream.make_noise(2, 2).uniform)
  assert np.any(first.start != dream.make_noise(2, 2).start)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'fitness': 'luck'}, "fitness must be one of .*, got 'luck'"),
    ({'starts': np.zeros((2, 0, Z))}, r'starts must be .*, got \[0, 4\] and'),
    ({'starts': np.zeros((2, 3, 5))}, r'arrays \[S, 4\] .*, got \[3, 5\]'),
  ],
)
def test_wrong_settings_are_refused(model, starts, options, message):
  options = {'starts': starts, **options}
  with pytest.raises(ValueError, match=message):
    make(model, **options)


def test_numpy_s_seeds_are_seeds(model, starts):
  dream = make(model, starts)
  wanted = dream.make_noise(2, 7).normal
  for seed in (np.int64(7), np.array(7), tf.constant(7)):
    np.testing.assert_array_equal(dream.make_noise(2, seed).normal, wanted)
  for seed in (2.5, True, '7', [1, 2, 3], [[1, 2]]):
    with pytest.raises(ValueError, match='seed must be an integer'):
      dream.make_noise(2, seed)
