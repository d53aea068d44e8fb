"""Words of every figure are in view, and apart from each other.

The figures are drawn from numbers as bad as runs give them: one point or many,
equal curves, one seed or ten, NaN, long names, tiny and huge values.
"""

import itertools

import numpy as np
import pytest
from matplotlib import text as text_lib

from nca_tf.analysis import Interval
from nca_tf.analysis import figures
from nca_tf.analysis import length_figures
from nca_tf.analysis import memory_trace
from nca_tf.analysis import score_figures
from nca_tf.datasets.memory_tasks import tasks
from nca_tf.environments.pommerman.engine import variants
from nca_tf.experiments.benchmarks.dnc import report as dnc_report
from nca_tf.experiments.memory_tasks import report as memory_report
from nca_tf.experiments.predictions import pictures
from nca_tf.experiments.predictions import pommerman_games
from nca_tf.experiments.predictions import settings
from nca_tf.experiments.toy_cma_es import report as toy_report


def numbers():
  return np.random.default_rng(0)


def reconstructions(count, scale=1):
  frames = numbers().random((count, 64, 64, 3))
  return figures.reconstructions(frames, frames * (1 - scale))


def learning_curves(keys, steps=100, scale=1.0, start=0):
  rng = numbers()
  records = [
    {'step': start + 50 * i}
    | {key: scale * (2 + rng.random()) * 0.95**i for key in keys}
    | ({f'held_out_{keys[0]}': scale * 0.95**i} if i % 3 == 0 else {})
    for i in range(steps)
  ]
  records[-1][keys[-1]] = np.nan if steps > 1 else 1.0
  return figures.learning_curves(records, keys, 'lstm, seed 12')


def horizon_errors(horizons, names, spread=1.0):
  rows = {
    name: [spread**i * 0.1 * h**0.5 for h in horizons]
    for i, name in enumerate(names)
  }
  first, *_ = names
  rows[first] = [Interval(v, 0.9 * v, 1.2 * v) for v in rows[first]]
  return figures.horizon_errors(horizons, rows)


def done_scores(steps, share=0.02, sharp=0.1):
  rng = numbers()
  labels = rng.random(steps) < share
  scores = np.clip(rng.normal(0.2 + 0.5 * labels, sharp), 0, 1)
  return figures.done_scores(labels, scores, 0.5)


def mixture(low, high, components=5):
  rng = numbers()
  weights = rng.dirichlet(np.ones(components), (512, 32))
  sigmas = np.exp(rng.uniform(np.log(low), np.log(high), weights.shape))
  return figures.mixture_histograms(weights, sigmas, rng.normal(size=(512, 32)))


def trace(steps, slots, heads, marks=()):
  rng = numbers()
  arrays = {
    'memory': rng.normal(size=(steps, slots, 16)),
    'usage': rng.random((steps, slots)),
    'write_weights': rng.random((steps, slots)),
    'read_weights': rng.random((steps, heads, slots)),
    'read_modes': rng.dirichlet([1, 1, 1], (steps, heads)),
    'write_gate': rng.random((steps, 1)),
    'allocation_gate': rng.random((steps, 1)),
    'free_gates': rng.random((steps, heads)),
  }
  title = 'DNC over one held-out episode (lines: the action changes)'
  return memory_trace.memory_trace(arrays, marks=marks, title=title)


def matrices(steps, slots=64, word=20, scale=1.0):
  memory = scale * numbers().normal(size=(2000, slots, word))
  chosen = np.linspace(0, 1999, steps).astype(int)
  return memory_trace.memory_matrices(memory, chosen, 'repeat copy: memory')


POLICIES = {'metronome': 614.0, 'random': 203.4, 'dodge': 601.2, 'stay': 199.8}
SETTINGS = ('dnc-reads', 'dnc', 'lstm', 'untrained-dnc-reads', 'untrained-lstm')


def scores(searches, generations, lines, scale=1.0, episodes=20):
  rng = numbers()
  steps = list(range(1, generations + 1))
  chosen = steps[:: max(1, generations // 10)]
  curves, evaluations = {}, {}
  for i in range(searches):
    name = f' {i + 1}' if searches > 1 else ''
    curves['dream' + name] = steps, scale * rng.gamma(50, 10, generations)
    evaluations['controller' + name] = (
      chosen,
      [scale * rng.gamma(5, 100, episodes) for _ in chosen],
    )
  return score_figures.scores_over_generations(curves, evaluations, lines)


def repeated_scores(names, seeds, generations, lines, episodes=20):
  rng = numbers()
  found = {
    name: (
      generations,
      [
        [rng.gamma(5, 100, episodes) for _ in range(seeds)] for _ in generations
      ],
    )
    for name in names
  }
  controls = {'untrained-dnc-reads': 'dnc-reads', 'untrained-lstm': 'lstm'}
  return score_figures.repeated_scores_over_generations(found, lines, controls)


def error_over_length(lengths, names, seeds, scale=1.0, power=1.0):
  rows = {
    name: scale * numbers().random((seeds, len(lengths))) ** power
    for name in names
  }
  return length_figures.error_over_length(
    lengths,
    rows,
    lengths[len(lengths) // 2],
    title='associative recall',
    x='items of 2 words',
    y='share of wrong bits',
    bar=0.01,
  )


def epochs(codings, cells, seeds, count, equal=True):
  rng, curves = numbers(), {}
  for coding in codings:
    wrong = 6.4 + rng.random((seeds, count)).cumsum(1)[:, ::-1]
    curves[coding] = {
      cell: (np.linspace(0.1, 1, count), wrong + (not equal) * rng.random())
      for cell in cells
    }
  baselines = {'copy': 6.41, 'oracle': 6.22}
  return pictures.draw_epochs(curves, baselines, 'wrong components of 372')


def horizons(codings, cells, count=4):
  mean = np.array([6.4, 15.7, 21.0, 21.2])[:count]
  rows = np.stack([settings.HORIZONS[:count], mean, 0.9 * mean, 1.2 * mean], 1)
  points = {coding: dict.fromkeys(('copy', *cells), rows) for coding in codings}
  return pictures.draw_horizons(points, 'wrong components of 372')


def boards(cells):
  layout = pommerman_games.make_layout(
    variants.get_variant(pommerman_games.VARIANT)
  )
  game = pommerman_games.collect(1, numbers())
  ahead = game.state[np.minimum(np.arange(1, 14), len(game.state) - 1)]
  game = game.select(np.minimum(np.arange(14), len(game.state) - 1))
  return pictures.draw_game(layout, game, {c: ahead for c in cells}, 'mixture')


def answer(task, length):
  steps = task.steps(length)
  batch = task.draw(numbers(), [length], steps)
  return memory_report.draw_answer(
    task.KIND, batch, 5 * numbers().normal(size=batch.targets[0].shape), 'copy'
  )


def convergence(seeds, generations, start=10.0):
  steps = numbers().random((seeds, generations)).cumsum(1)
  distances = start * np.concatenate([np.ones((seeds, 1)), 10**-steps], 1)
  title = 'CMA-ES, 64 candidates, first step 0.3'
  return toy_report.convergence(distances, 1e-3, title)


def growth(axes, names):
  grown = {
    axis: {name: {2**k: 3.0 * 2**k for k in range(3, 9)} for name in names}
    for axis in axes
  }
  base = {'slots': 16, 'batch': 16, 'steps': 64, 'heads': 4, 'word': 16}
  return dnc_report.draw_growth(
    grown, {f'growth/{axis}': {'base': base} for axis in axes}
  )


PREDICTORS = 'M', 'untrained M', 'copy last frame', 'constant velocity'


def trajectories(steps, numbers, scale=1.0):
  real = scale * np.random.default_rng(0).normal(size=(steps, numbers))
  return figures.trajectories(real, real + scale)


GALLERY = {
  'trajectories, one number': (trajectories, 1, 1),
  'trajectories, many': (trajectories, 100, 17, 1e6),
  'reconstructions, one': (reconstructions, 1),
  'reconstructions, eight': (reconstructions, 8),
  'learning curves, one point': (learning_curves, ['loss'], 1),
  'learning curves, long': (
    learning_curves,
    ['loss', 'error', 'gradient_norm', 'reconstruction', 'kl'],
    1000,
    1e6,
  ),
  'learning curves, small': (learning_curves, ['nll'], 3, 1e-7, 10**6),
  'horizon errors, equal': (horizon_errors, range(1, 51), PREDICTORS),
  'horizon errors, apart': (horizon_errors, [1, 2, 5, 10], PREDICTORS, 30.0),
  'horizon errors, one': (horizon_errors, [1], PREDICTORS),
  'horizon errors, none': (horizon_errors, [], PREDICTORS),
  'done scores': (done_scores, 20000),
  'done scores, few': (done_scores, 30, 0.1, 0.01),
  'done scores, one class': (done_scores, 10**6, 0.0),
  'mixture, narrow': (mixture, 0.6, 2.0),
  'mixture, wide': (mixture, 1e-4, 50.0),
  'mixture, equal': (mixture, 1.0, 1.0, 1),
  'memory trace, large': (trace, 200, 128, 4, range(0, 200, 5)),
  'memory trace, one step': (trace, 1, 1, 1),
  'memory trace, small': (trace, 7, 6, 1, [3.5]),
  'memory matrices, eight': (matrices, 8, 256, 64, 1e-6),
  'memory matrices, one': (matrices, 1, 1, 1, 1e5),
  'scores': (scores, 1, 100, POLICIES),
  'scores, four searches': (scores, 4, 40, POLICIES),
  'scores, one point': (scores, 1, 1, POLICIES, 1.0, 1),
  'scores, rewards': (scores, 1, 9, {'random': -0.8, 'simple': 0.1}, -1e-3),
  'scores, equal policies': (scores, 2, 20, dict.fromkeys('abcdefgh', 500.0)),
  'repeated scores, ten seeds': (
    repeated_scores,
    SETTINGS,
    10,
    range(10, 101, 10),
    POLICIES,
  ),
  'repeated scores, one': (repeated_scores, ['lstm'], 1, [5], {}, 1),
  'error over length': (
    error_over_length,
    range(2, 25, 2),
    ['dnc', 'lstm'],
    5,
  ),
  'error over length, none': (
    error_over_length,
    [1],
    ['dnc', 'sparse-dnc', 'lstm', 'gru'],
    1,
    0.0,
  ),
  'error over length, large': (
    error_over_length,
    [2, 10, 100],
    ['dnc', 'lstm'],
    10,
    1e4,
    9.0,
  ),
  'epochs, equal': (epochs, ['categorical', 'mixture'], ['dnc', 'lstm'], 3, 10),
  'epochs, many': (
    epochs,
    ['categorical', 'mixture'],
    ['dnc', 'lstm', 'gru', 'sparse-dnc', 'rnn', 'other'],
    10,
    100,
    False,
  ),
  'epochs, one': (epochs, ['mixture'], ['lstm'], 1, 1),
  'epochs, none': (epochs, ['mixture'], ['lstm'], 1, 0),
  'horizons, equal': (horizons, ['categorical', 'mixture'], ['dnc', 'lstm']),
  'horizons, one': (horizons, ['mixture'], ['dnc', 'lstm', 'gru'], 1),
  'boards': (boards, ['dnc', 'lstm']),
  'answer': (answer, tasks.Copy(bits=6), 12),
  'answer, long': (answer, tasks.Copy(bits=8), 100),
  'convergence': (convergence, 100, 63),
  'convergence, one': (convergence, 1, 1),
  'growth': (
    growth,
    ['slots', 'batch', 'steps', 'heads'],
    ['this', 'deepmind', 'plain Keras layers'],
  ),
  'growth, one': (growth, ['slots'], ['this', 'deepmind']),
}


def words_of(figure):
  """Pairs of a text and its box in pixels, of all that are drawn."""
  figures.to_image(figure)
  hidden = {id(text) for text in labels_out_of_view(figure)}
  return [
    (text.get_text(), text.get_window_extent())
    for text in figure.findobj(text_lib.Text)
    if text.get_text().strip() and text.get_visible() and id(text) not in hidden
  ]


def labels_out_of_view(figure):
  """Labels of ticks that lie beyond their axis' limits or are switched off."""
  for axes in figure.axes:
    for axis in (axes.xaxis, axes.yaxis):
      low, high = sorted(axis.get_view_interval())
      for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if not axes.axison or not low <= tick.get_loc() <= high:
          yield from (tick.label1, tick.label2)


@pytest.mark.parametrize('name', GALLERY)
def test_words_lie_apart_and_on_the_canvas(name):
  function, *arguments = GALLERY[name]
  figure = function(*arguments)
  words = words_of(figure)
  assert words
  width, height = figure.canvas.get_width_height()
  for text, box in words:
    inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1
    assert inside and box.y1 < height + 1, (text, box)
  for (text, box), (other, another) in itertools.combinations(words, 2):
    across = min(box.x1, another.x1) - max(box.x0, another.x0)
    along = min(box.y1, another.y1) - max(box.y0, another.y0)
    assert across < -2 or along < 2, (text, other)


@pytest.mark.parametrize(
  'name',
  ['memory trace, large', 'memory matrices, eight', 'reconstructions, eight'],
)
def test_files_of_noise_are_small_enough_for_a_page(name, tmp_path):
  function, *arguments = GALLERY[name]
  path = tmp_path / 'figure.png'
  figures.save(function(*arguments), path)
  assert path.stat().st_size < 2e6
