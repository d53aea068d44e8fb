"""How often M dies in futures that it imagines itself, and the game did.

From true states of recorded episodes M imagines what follows under the actions
that were really taken. In the steps that the episode still had, as many deaths
should be imagined as there were: what a controller avoids in a dream is this
hazard, and a head that only ever saw true states underrates it. Letters: N
starts, K steps ahead, O outputs of M's cell, E episodes.
"""

import typing
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from nca_tf import checks
from nca_tf import random_numbers
from nca_tf.analysis import classification
from nca_tf.analysis import intervals
from nca_tf.analysis import table
from nca_tf.datasets import latents as latents_lib
from nca_tf.world_model import forecast
from nca_tf.world_model import imagination
from nca_tf.world_model import model as model_lib

# Steps ahead, first and last of each group.
GROUPS = ((1, 2), (3, 5), (6, 8), (9, 12), (13, 16), (17, 24))
NAMES = tuple(f'{first}-{last}' for first, last in GROUPS)
SPACING = 8  # Steps from one start to the next.
_EPISODES = 64  # Imagined at once.
_RESAMPLES = 500


class Futures(typing.NamedTuple):
  """What M imagined from N true states, and what had happened there."""

  output: np.ndarray  # [N, K, O], of M's cell
  done_logit: np.ndarray  # [N, K]
  happened: np.ndarray  # [N, K] bool, whether the episode had this step
  died: np.ndarray  # [N, K] bool, whether it ended there by death
  episode: np.ndarray  # [N], position of the episode in the latents


def imagine(
  model: model_lib.MemoryModel,
  latents: latents_lib.Latents,
  horizon: int,
  seed: int,
  temperature: float = 1.0,
) -> Iterator[Futures]:
  """Imagines futures from every SPACING-th step of recorded episodes.

  M has seen the episode up to there, drawn from its posterior as in training.

  Args:
    model: M.
    latents: Whole episodes.
    horizon: K.
    seed: Of all that is drawn.
    temperature: Of the mixtures from which the imagined latents are drawn.

  Yields:
    Futures of some episodes at a time.

  Raises:
    ValueError: K is no integer of at least 1.
  """
  horizon = checks.integer('horizon', horizon, 1)
  noise = random_numbers.generator(seed, 'latents of hazards')
  lengths = [part.stop - part.start for part in latents.episodes]
  order = np.argsort(lengths, kind='stable')  # Hardly any padding.
  graphs = _Graphs(model, horizon, temperature)
  for begin in range(0, len(order), _EPISODES):
    chosen = order[begin : begin + _EPISODES]
    rows = np.resize(chosen, _EPISODES)  # The graphs are compiled once.
    episodes = forecast.pad(
      latents_lib.select(latents, rows), model.action_size, noise, SPACING
    )
    parts = graphs.imagine(
      episodes,
      len(chosen),
      random_numbers.key(seed, 'hazards', begin),
    )
    for rows, *found in parts:
      yield Futures(*found, chosen[rows])


class _Graphs:
  """M taught by true frames, and M on its own, as compiled programs."""

  def __init__(self, model, horizon, temperature):
    self._model, self._horizon = model, horizon
    self._temperature = temperature
    self._teach = tf.function(self._see, autograph=False)
    self._free = tf.function(self._run_free, autograph=False)

  def imagine(self, episodes, count, key):
    """Yields rows [N] below `count`, output, logit, happened and died."""
    horizon = self._horizon
    state = self._model.initial(len(episodes.z))
    steps = episodes.frames + episodes.ended  # With the one of death.
    ahead = np.arange(1, horizon + 1)
    for start in range(0, episodes.z.shape[1] - 1, SPACING):
      rows = np.flatnonzero(start + 1 < steps[:count])
      if not len(rows):
        return
      actions = episodes.action[:, start : start + horizon]
      missing = horizon - actions.shape[1]
      output, logit = self._free(
        episodes.z[:, start],
        np.pad(actions, ((0, 0), (0, missing), (0, 0))),
        episodes.is_first[:, start],
        state,
        tf.cast(key, tf.int32) + [0, start],
      )
      reached = start + ahead
      happened = reached < steps[rows, None]
      died = episodes.ended[rows, None] & (
        reached == episodes.frames[rows, None]
      )
      yield rows, output.numpy()[rows], logit.numpy()[rows], happened, died
      window = slice(start, start + SPACING)
      seen = episodes.z, episodes.action, episodes.is_first
      state = self._teach(*(part[:, window] for part in seen), state)

  def _see(self, z, action, is_first, state):
    return self._model.unroll(z, action, is_first, state)[1]

  def _run_free(self, z, actions, is_first, state, key):
    """Outputs of the cell [B, K, O] and done logits [B, K]."""
    model, horizon = self._model, self._horizon
    draw = imagination.sampler(model, self._temperature, key)
    act = imagination.replay(tf.cast(actions, model.variable_dtype))
    never = tf.zeros_like(is_first)
    outputs = tf.TensorArray(model.variable_dtype, horizon)

    def body(k, z, is_first, state, outputs):
      output, state = model.advance(z, act(k, None), is_first, state)
      z = draw(model.read_out(output).latent, k)
      output = tf.cast(output, model.variable_dtype)
      return k + 1, z, never, state, outputs.write(k, output)

    z = tf.cast(z, model.variable_dtype)
    start = tf.constant(0), z, is_first, model.as_state(state), outputs
    *_, outputs = tf.while_loop(
      lambda k, *_: k < horizon, body, start, maximum_iterations=horizon
    )
    outputs = tf.transpose(outputs.stack(), [1, 0, 2])
    return outputs, model.read_out(outputs).done_logit


class Group(typing.NamedTuple):
  """Steps of a range ahead, for every episode."""

  died: list  # of [n] bool
  probability: list  # of [n], of the game ending with that step


def measure(
  model: model_lib.MemoryModel,
  latents: latents_lib.Latents,
  done_weight: float,
  seed: int,
) -> dict[tuple[int, int], Group]:
  """Imagined and real deaths of recorded episodes, by steps ahead.

  Args:
    model: M.
    latents: Episodes that neither M nor its done head have seen.
    done_weight: What a death weighed in M's loss; the dream takes it back.
    seed: Of what M imagines.
  """
  count = len(latents.episodes)
  found = {
    group: Group([[] for _ in range(count)], [[] for _ in range(count)])
    for group in GROUPS
  }
  for futures in imagine(model, latents, GROUPS[-1][1], seed):
    logit = futures.done_logit.astype(np.float64) - np.log(done_weight)
    probability = 1 / (1 + np.exp(-logit))
    for (first, last), group in found.items():
      steps = slice(first - 1, last)
      for row, episode in enumerate(futures.episode):
        real = futures.happened[row, steps]
        group.died[episode].append(futures.died[row, steps][real])
        group.probability[episode].append(probability[row, steps][real])
  return {key: Group(*map(_join, group)) for key, group in found.items()}


def _join(parts):
  return [np.concatenate(rows) if rows else np.zeros(0) for rows in parts]


def ratio(group: Group, seed: int = 0) -> intervals.Interval:
  """Imagined over real deaths, with a bootstrap interval over episodes."""
  sums = [
    (imagined.sum(), died.sum())
    for died, imagined in zip(group.died, group.probability, strict=True)
  ]

  def divide(pairs):
    imagined, died = np.sum(pairs, axis=0)
    return imagined / died if died else float('nan')

  try:
    return intervals.bootstrap_statistic(
      sums, divide, rng=seed, resamples=_RESAMPLES
    )
  except ValueError:  # There are hardly any deaths.
    nothing = float('nan')
    return intervals.Interval(divide(sums), nothing, nothing)


def area(group: Group) -> float:
  """How well a step's probability tells deaths, the area under the ROC."""
  return classification.pooled_roc_auc(
    list(zip(group.died, group.probability, strict=True))
  )


def tabulate(rows: dict[str, dict[tuple[int, int], Group]]) -> table.Table:
  """Imagined over real deaths of each M, a column for each range of steps."""
  view = table.Table(
    ['imagined over real deaths', *NAMES, 'AUC 3-5', 'AUC 17-24'], digits=2
  )
  for name, groups in rows.items():
    areas = (area(groups[key]) for key in (GROUPS[1], GROUPS[-1]))
    view.add(name, *(ratio(groups[key]) for key in GROUPS), *areas)
  deaths = (int(sum(map(np.sum, groups[key].died))) for key in GROUPS)
  view.add('real deaths', *deaths, None, None)
  return view
