"""Fitness of a generation of candidates: in one graph, or by episodes.

An evaluator has one method, `evaluate(parameters, generation)`; an optimiser
minimises the fitness that it returns:

    x = optimiser.ask()
    evaluation = evaluator.evaluate(x, generation)
    optimiser.tell(x, evaluation.fitness)

A fitness of NaN or +inf marks a candidate that failed; -inf is the lowest
there can be. Evaluators judge the fitness alone: `tell` also counts candidates
as failed whose coordinates are not finite.

Letters: P candidates, n parameters, E episodes.
"""

import itertools
import typing
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf.evolution import arrays

_OTHERS = (bool, object, str)  # Types that are no numbers.


class Evaluation(typing.NamedTuple):
  """Fitness of P candidates."""

  fitness: np.ndarray  # float64 [P], smaller is better; +inf where not valid
  valid: np.ndarray  # bool [P], whether a candidate could be evaluated
  scores: np.ndarray  # float64 [P, E] of the episodes, NaN where they failed


class Task(typing.NamedTuple):
  """One episode to play: position in its generation, seed, parameters [n]."""

  index: int
  seed: int
  parameters: np.ndarray


class GraphEvaluator:
  """A tensor function, dreams included: a whole generation in one call."""

  def __init__(self, function: Callable, jit: bool = True):
    """Takes (parameters [P, n], generation int32 []) -> fitness [P].

    It is compiled at its first call, with XLA if `jit`.
    """
    self._plain, self._jit = function, checks.boolean('jit', jit)
    self._compile()

  def __getstate__(self):
    """What a copy has: it compiles the function anew."""
    return {'_plain': self._plain, '_jit': self._jit}

  def __setstate__(self, state):
    """Prepares the function for its first call."""
    self.__dict__ |= state
    self._compile()

  def _compile(self):
    self._function = tf.function(
      self._plain, autograph=False, jit_compile=self._jit
    )

  def evaluate(self, parameters, generation: int) -> Evaluation:
    """Evaluates parameters [P, n]; a fitness of +inf or NaN is not valid.

    `ValueError` if the function gives another shape than [P].
    """
    parameters = _matrix(parameters)
    generation = _generation(generation)
    answer = self._function(
      tf.convert_to_tensor(parameters), tf.constant(generation, tf.int32)
    )
    fitness = arrays.floats('fitness', answer, (len(parameters),))
    return _evaluation(fitness, np.zeros((len(fitness), 0)))


class EpisodeEvaluator:
  """Episodes of a real game, the same ones for all candidates.

  The fitness is minus the mean score. It depends on the candidates, the seed
  and the generation alone, whichever processes have died meanwhile. A candidate
  with an episode that failed in every attempt is not valid: an episode without
  an end has no score.

    players = workers.Players('vizdoom', agent, keep_going=True)

    def play(tasks):  # the results may be in any order
      return players.play(
        [task.seed for task in tasks], [task.parameters for task in tasks]
      )

    evaluator = EpisodeEvaluator(play, episodes=16, seed=0)
    evaluator.evaluate(x, generation=3).fitness
  """

  def __init__(
    self,
    play: Callable[[Sequence[Task]], Iterable],
    episodes: int,
    seed: int,
    retries: int = 1,
  ):
    """Takes the function that plays.

    Args:
      play: Tasks -> their results, each with `index` (the position in the list
        that `play` was given) and `score` (None for an episode that failed).
      episodes: E, per candidate and generation.
      seed: Determines all episodes.
      retries: How often those that failed are played once more.
    """
    self._play = play
    self._episodes = checks.integer('episodes', episodes, 1)
    self._seed = checks.integer('seed', seed, 0)
    self._retries = checks.integer('retries', retries, 0)

  def seeds(self, generation: int) -> list[int]:
    """Returns the E seeds that all candidates of a generation play."""
    generation = _generation(generation)
    words = [
      np.random.SeedSequence((self._seed, generation, episode))
      for episode in range(self._episodes)
    ]
    # 63 bits: signed integers hold them.
    return [int(each.generate_state(1, np.uint64)[0] >> 1) for each in words]

  def evaluate(self, parameters, generation: int) -> Evaluation:
    """Plays E episodes with each of parameters [P, n]."""
    parameters = np.asarray(_matrix(parameters))
    # Episode by episode, so that long lives are spread over the workers.
    pairs = itertools.product(self.seeds(generation), parameters)
    tasks = [Task(i, *pair) for i, pair in enumerate(pairs)]
    scores = np.full(len(tasks), np.nan)
    for _ in range(1 + self._retries):
      missing = [task for task in tasks if np.isnan(scores[task.index])]
      if not missing:
        break
      for result in self._play(missing):
        index = checks.integer('index', result.index, 0, len(missing) - 1)
        if result.score is not None:
          scores[missing[index].index] = result.score
    scores = scores.reshape(self._episodes, len(parameters)).T
    with np.errstate(invalid='ignore'):  # Of inf and -inf: not valid.
      fitness = -scores.mean(axis=1)
    return _evaluation(fitness, scores)


def _matrix(parameters):
  """Returns parameters as an array, or as the tensor that they are."""
  if not tf.is_tensor(parameters):
    parameters = np.asarray(parameters)
  if len(parameters.shape) != 2 or parameters.dtype in _OTHERS:
    raise ValueError(
      'parameters must be numbers of shape [P, n], got '
      f'{list(parameters.shape)}'
    )
  return parameters


def _generation(generation) -> int:
  return checks.integer('generation', generation, 0, 2**31 - 1)


def _evaluation(fitness, scores) -> Evaluation:
  valid = ~(np.isnan(fitness) | np.isposinf(fitness))
  return Evaluation(np.where(valid, fitness, np.inf), valid, scores)
