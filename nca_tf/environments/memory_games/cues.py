"""Games that ask at their end for what they showed at their beginning.

`memory_chain` is bsuite's (Osband et al., Behaviour suite for reinforcement
learning, 2020), whose experiment memory_len plays it at the 23
lengths of `registry`.
"""

import gymnasium
import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_tensors
from nca_tf.environments.memory_games import quiz

SYMBOLS = 4


def memory_chain(length: int) -> quiz.Quiz:
  """A bit at the start of an episode, asked for at its end.

  Observations are the share of time left, the number of the bit that is asked
  for (always 0), and the bit as -1 or 1, 0 but at the start; float32 [3]. The
  start is seen twice, as in the original: an episode has length + 1 steps, of
  which the last one's action counts, 1 or -1.
  """
  length = checks.integer('length', length, 1)
  times = np.maximum(np.arange(length + 2) - 1, 0)
  left = tf.constant(1 - times / length, tf.float32)
  is_start = tf.constant(times == 0, tf.float32)

  def draw(lanes, key):
    bits = random_tensors.uniform(key, [lanes]) < 0.5
    signs = tf.where(bits, 1.0, -1.0)[:, None]
    shown = tf.stack(
      [
        tf.repeat(left[None], lanes, 0),
        tf.zeros([lanes, length + 2]),
        is_start * signs,
      ],
      -1,
    )
    answers = tf.pad(
      tf.cast(bits, tf.int32)[:, None],
      [[0, 0], [length, 0]],
      constant_values=quiz.NO_QUESTION,
    )
    return quiz.Sheet(shown, answers)

  space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
  return quiz.Quiz(draw, space, 2, length + 1, 1, 1.0)


def cue_recall(length: int, cues: int = 1) -> quiz.Quiz:
  """Cues at the start, distractors, and the question for the cues in order.

  Observations are an index: one of 4 cues at each of the first steps, one of 4
  distractors at each of `length` others, and 8 while the cues are asked for.
  """
  length = checks.integer('length', length, 0)
  cues = checks.integer('cues', cues, 1)
  steps = 2 * cues + length

  def draw(lanes, key):
    size = [lanes, cues + length]
    drawn = random_tensors.uniform(key, size)
    drawn = tf.cast(drawn * SYMBOLS, tf.int32)
    shown = tf.concat([drawn[:, :cues], drawn[:, cues:] + SYMBOLS], 1)
    shown = tf.pad(shown, [[0, 0], [0, cues + 1]], constant_values=2 * SYMBOLS)
    answers = tf.pad(
      drawn[:, :cues],
      [[0, 0], [cues + length, 0]],
      constant_values=quiz.NO_QUESTION,
    )
    return quiz.Sheet(shown, answers)

  space = gymnasium.spaces.Discrete(2 * SYMBOLS + 1)
  return quiz.Quiz(draw, space, SYMBOLS, steps, cues, 1 / cues)


GAMES = {'memory_chain': memory_chain, 'cue_recall': cue_recall}
