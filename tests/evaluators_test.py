"""Evaluators: in one graph, and by episodes that survive their players."""

import os
import signal
import typing

import numpy as np
import processes
import pytest
import tensorflow as tf
import tiny_agents

from nca_tf.environments import workers
from nca_tf.evolution import evaluators

CANDIDATES = np.array(
  [[4, 0.01, 0], [20, 0, 0], [60, 0, 0], [1000, 0, 0]], np.float32
)


class Result(typing.NamedTuple):
  index: int
  score: float | None


def score(task):
  return float(task.parameters.sum()) + task.seed % 1000 / 10


def test_a_graph_answers_a_whole_generation():
  seen = []

  def function(x, generation):
    seen.append(x.shape)
    return tf.reduce_sum(x * x, -1) + tf.cast(generation, x.dtype)

  evaluator = evaluators.GraphEvaluator(function)
  x = np.arange(6.0).reshape(3, 2)
  for generation in (0, 5):
    evaluation = evaluator.evaluate(x, generation)
    np.testing.assert_allclose(evaluation.fitness, (x * x).sum(-1) + generation)
    assert evaluation.valid.all()
    assert evaluation.scores.shape == (3, 0)
  assert seen == [(3, 2)]  # Traced once.


def test_what_a_graph_cannot_value_is_not_valid():
  evaluator = evaluators.GraphEvaluator(
    lambda x, generation: x[:, 0], jit=False
  )
  x = np.array([[1.0], [np.nan], [np.inf], [-np.inf]])
  evaluation = evaluator.evaluate(x, 0)
  np.testing.assert_array_equal(
    evaluation.fitness, [1, np.inf, np.inf, -np.inf]
  )
  np.testing.assert_array_equal(evaluation.valid, [1, 0, 0, 1])


def test_fitness_is_minus_the_mean_score_in_any_order_of_answers():
  def play(tasks):
    answers = [Result(i, score(task)) for i, task in enumerate(tasks)]
    return reversed(answers)

  evaluator = evaluators.EpisodeEvaluator(play, episodes=3, seed=7)
  evaluation = evaluator.evaluate(CANDIDATES, generation=2)
  noise = np.array([seed % 1000 / 10 for seed in evaluator.seeds(2)])
  wanted = CANDIDATES.sum(1, np.float64)[:, None] + noise
  np.testing.assert_allclose(evaluation.scores, wanted)
  np.testing.assert_allclose(evaluation.fitness, -wanted.mean(1))
  assert evaluation.valid.all()


def test_candidates_share_seeds_that_change_with_the_generation():
  played = []

  def play(tasks):
    played.extend(tasks)
    return [Result(i, 1.0) for i in range(len(tasks))]

  evaluator = evaluators.EpisodeEvaluator(play, episodes=5, seed=0)
  evaluator.evaluate(CANDIDATES, 0)
  for candidate in CANDIDATES:
    own = [task.seed for task in played if (task.parameters == candidate).all()]
    assert own == evaluator.seeds(0)
  other = evaluators.EpisodeEvaluator(play, episodes=5, seed=1)
  every = [*evaluator.seeds(0), *evaluator.seeds(1), *other.seeds(0)]
  assert len(set(every)) == 15
  assert evaluator.seeds(1) == evaluator.seeds(1)


def test_failed_episodes_are_played_again_and_never_scored():
  calls = []

  def play(tasks):
    calls.append([task.index for task in tasks])
    for i, task in enumerate(tasks):
      hopeless = task.parameters[0] == 60
      unlucky = len(calls) == 1 and task.index in (0, 5)
      yield Result(i, None if hopeless or unlucky else score(task))

  evaluator = evaluators.EpisodeEvaluator(play, episodes=2, seed=0, retries=2)
  evaluation = evaluator.evaluate(CANDIDATES, 0)
  assert calls == [list(range(8)), [0, 2, 5, 6], [2, 6]]
  np.testing.assert_array_equal(evaluation.valid, [1, 1, 0, 1])
  assert evaluation.fitness[2] == np.inf
  assert np.isnan(evaluation.scores[2]).all()
  fine = evaluators.EpisodeEvaluator(
    lambda tasks: [Result(i, score(task)) for i, task in enumerate(tasks)],
    episodes=2,
    seed=0,
  ).evaluate(CANDIDATES, 0)
  np.testing.assert_array_equal(
    evaluation.fitness[[0, 1, 3]], fine.fitness[[0, 1, 3]]
  )


def worker_pids():
  return [
    pid
    for pid in processes.children(os.getpid())
    if 'worker.serve' in processes.command(pid)
  ]


def test_a_killed_worker_changes_no_fitness(tmp_path):
  """The real game, its workers, and `kill -9` amid a generation."""
  agent = tiny_agents.write(tmp_path / 'agent')
  killed = []

  def play(tasks, kill_after):
    results = players.play(
      [task.seed for task in tasks], [task.parameters for task in tasks]
    )
    for turn, result in enumerate(results):
      if turn == kill_after:
        killed.append(worker_pids()[0])
        os.kill(killed[-1], signal.SIGKILL)
      yield result

  def evaluate(kill_after=None):
    evaluator = evaluators.EpisodeEvaluator(
      lambda tasks: play(tasks, kill_after), episodes=4, seed=0
    )
    return evaluator.evaluate(CANDIDATES, generation=1)

  with workers.Players(
    'vizdoom',
    agent,
    options={'time_limit': 160},
    processes=2,
    keep_going=True,
  ) as players:
    calm, wild = evaluate(), evaluate(kill_after=3)
    assert killed[0] not in worker_pids()
  np.testing.assert_array_equal(wild.fitness, calm.fitness)
  np.testing.assert_array_equal(wild.scores, calm.scores)
  assert wild.valid.all()
  assert len(set(calm.fitness)) > 2
  assert calm.scores.min() > 0


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'episodes': 0}, 'episodes must be an integer of at least 1, got 0'),
    ({'seed': -1}, 'seed must be an integer of at least 0, got -1'),
    ({'retries': -1}, 'retries must be an integer of at least 0, got -1'),
  ],
)
def test_wrong_settings_are_named(options, message):
  with pytest.raises(ValueError, match=message):
    evaluators.EpisodeEvaluator(
      lambda tasks: [], **{'episodes': 1, 'seed': 0, **options}
    )


def test_parameters_need_two_axes():
  evaluator = evaluators.EpisodeEvaluator(lambda tasks: [], 1, 0)
  with pytest.raises(ValueError, match=r'of shape \[P, n\], got \[3\]'):
    evaluator.evaluate(CANDIDATES[0], 0)
