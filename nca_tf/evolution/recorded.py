"""Generations in one graph, with what the stop conditions need of each."""

import math

import tensorflow as tf

from nca_tf.evolution import cma_es
from nca_tf.evolution import stopping
from nca_tf.evolution.settings import Settings


def run(settings: Settings, state: cma_es.State, f, count, ftarget, most: int):
  """Runs generations until the target; call it inside a tf.function.

  Args:
    settings: Constants.
    state: Where to begin.
    f: Fitness, a function of [P, n] that gives [P], of any float type.
    count: Number of generations, an int32 tensor.
    ftarget: Ends the loop once the best fitness is at most this.
    most: Largest count that is allowed.

  Returns:
    The last state, and float64 [most, 4] with `stopping.summary` of each
    generation that was run; zeros follow.
  """
  columns = stopping.places(settings.popsize)

  def is_running(i, records, *fields):
    del records
    return (i < count) & (cma_es.State(*fields).best_fitness > ftarget)

  def step(i, records, *fields):
    state, fitness = cma_es.step(settings, cma_es.State(*fields), f)
    fitness = tf.cast(fitness, tf.float64)
    fitness = tf.where(fitness < math.inf, fitness, math.inf)
    record = tf.gather(tf.sort(fitness), columns)
    records = tf.tensor_scatter_nd_update(records, [[i]], record[None])
    return (i + 1, records, *state)

  start = (tf.constant(0), tf.zeros([most, len(columns)], tf.float64))
  _, records, *fields = tf.while_loop(is_running, step, (*start, *state))
  return cma_es.State(*fields), records
