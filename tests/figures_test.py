"""Pictures: their size, what they must show, and what they refuse."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from nca_tf import files
from nca_tf.analysis import Interval
from nca_tf.analysis import canvas
from nca_tf.analysis import classification
from nca_tf.analysis import figures
from nca_tf.analysis import length_figures
from nca_tf.analysis import memory_trace
from nca_tf.analysis import score_figures


def drawn(figure):
  image = figures.to_image(figure)
  assert image.dtype == np.uint8
  assert image.shape[1:] == (1000, 3)
  assert image.std() > 5  # Not blank.
  return image


def line_of(axes, label):
  lines = {line.get_label(): line for line in axes.get_lines()}
  return lines[label]


def texts(figure):
  return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_light_imports():
  program = (
    'import sys\n'
    'from nca_tf import precision\n'
    'from nca_tf.agents import running_moments\n'
    'from nca_tf import analysis\n'
    'assert "matplotlib" not in sys.modules\n'
    'from nca_tf.analysis import animation, figures, memory_trace\n'
    'heavy = {"tensorflow", "keras", "sklearn", "matplotlib.pyplot"}\n'
    'found = heavy & set(sys.modules)\n'
    'assert not found, found\n'
  )
  subprocess.run([sys.executable, '-c', program], check=True)


def test_drawing_changes_no_global_setting():
  before = dict(matplotlib.rcParams)
  drawn(figures.done_scores([0, 1], [0.2, 0.9], 0.5))
  assert dict(matplotlib.rcParams) == before


def test_reconstructions_show_both_rows_and_the_error():
  rng = np.random.default_rng(0)
  frames = rng.integers(0, 256, (5, 8, 8, 3), np.uint8)
  figure = figures.reconstructions(frames, np.zeros_like(frames))
  shown = [axes.get_images()[0] for axes in figure.axes if axes.get_images()]
  assert len(shown) == 10
  np.testing.assert_allclose(shown[0].get_array(), frames[0] / 255)
  assert shown[5].get_array().max() == 0
  error = np.square(frames[0] / 255).sum()
  assert figure.axes[0].get_title() == f'{error:.1f}'
  assert texts(figure) == ['game', 'reconstruction']
  image = drawn(figure)
  same = drawn(figures.reconstructions(frames, frames / 255))
  assert np.any(image != same)


def test_learning_curves_tell_training_from_held_out():
  records = [
    {'step': s, 'loss': 100.0 * 0.5**s, 'auc': 0.5 + s / 30} for s in range(10)
  ]
  records[3]['held_out_loss'] = 20.0
  records[7]['held_out_loss'] = 4.0
  records[5]['loss'] = float('nan')
  records.append({'step': 9, 'other': 1.0})
  figure = figures.learning_curves(records, ['loss', 'auc'], 'M')
  loss, auc = figure.axes
  training, held_out = line_of(loss, 'training'), line_of(loss, 'held out')
  assert list(training.get_xdata()) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
  assert list(held_out.get_xydata().ravel()) == [3, 20, 7, 4]
  assert held_out.get_linewidth() > 2 * training.get_linewidth()
  assert (loss.get_yscale(), auc.get_yscale()) == ('log', 'linear')
  drawn(figure)


def test_negative_losses_stay_linear():
  records = [{'step': s, 'nll': 50.0 - s} for s in range(60)]
  figure = figures.learning_curves(records, ['nll'])
  assert figure.axes[0].get_yscale() == 'linear'


def test_horizon_errors_label_each_line_without_overlap():
  horizons = [1, 2, 5, 10]
  flat = [1.0, 1.0, 1.0, 1.0]
  errors = {
    'M': [Interval(0.1 * h, 0.08 * h, 0.13 * h) for h in horizons],
    'copy last': flat,
    'untrained': [1.01, 1.0, 1.0, 1.01],
    'constant velocity': [1e-3, 1.0, 20.0, 300.0],
  }
  figure = figures.horizon_errors(horizons, errors)
  (axes,) = figure.axes
  assert axes.get_xscale() == axes.get_yscale() == 'log'
  np.testing.assert_allclose(
    axes.get_lines()[0].get_xydata(), [[h, 0.1 * h] for h in horizons]
  )
  assert len(axes.collections) == 1  # One band: only M has intervals.
  assert texts(figure) == list(errors)
  image = drawn(figure)
  boxes = sorted(
    (text.get_window_extent() for text in axes.texts), key=lambda box: box.y0
  )
  for lower, upper in zip(boxes[:-1], boxes[1:], strict=True):
    assert lower.y1 <= upper.y0 + 2
  assert max(box.x1 for box in boxes) <= image.shape[1]
  drawn(figures.horizon_errors(range(1, 51), {'M': np.arange(1.0, 51)}))


def test_horizon_errors_without_a_horizon_say_so():
  figure = figures.horizon_errors([], {'M': [], 'copy last': []})
  assert texts(figure) == ['no episode is long enough to measure']
  drawn(figure)


def test_horizon_errors_of_zero_leave_a_gap():
  figure = figures.horizon_errors(
    [1, 2, 3], {'M': [1.0, 0.0, np.nan], 'still': [0.0, 0.0, 0.0]}
  )
  assert texts(figure) == ['M']
  line = figure.axes[0].get_lines()[0].get_ydata()
  np.testing.assert_array_equal(line, [1.0, np.nan, np.nan])
  drawn(figure)


@pytest.mark.parametrize('score', [-1.0, 0.0, 5.0])
def test_scores_of_rewards_and_of_tics_are_in_view(score):
  figure = score_figures.scores_over_generations(
    {}, {'controller': ([1, 2], [[score], [score, score]])}, {'stay': score}
  )
  low, high = figure.axes[0].get_ylim()
  assert low <= score < high
  assert low == 0 if score >= 0 else low < -1
  drawn(figure)


def test_trajectories_show_the_numbers_that_vary_most():
  steps = np.arange(20)[:, None]
  real = np.sin(steps / 3) * np.arange(12)  # The first never varies.
  figure = figures.trajectories(real, real + 0.5)
  panels = [axes for axes in figure.axes if axes.get_visible()]
  titles = [axes.get_title(loc='left') for axes in panels]
  assert titles == [f'number {number} of 12' for number in range(5, 13)]
  game, dream = panels[0].lines
  np.testing.assert_array_equal(game.get_ydata(), real[:, 4])
  np.testing.assert_array_equal(dream.get_ydata(), real[:, 4] + 0.5)
  np.testing.assert_array_equal(game.get_xdata(), np.arange(1, 21))
  assert [text.get_text() for text in figure.legends[0].get_texts()] == [
    'game',
    'dream of M',
  ]
  one = figures.trajectories(np.ones((1, 1)), np.ones((1, 1)))
  assert len(one.axes) == 1
  for shape in ((20, 11), (19, 12), (20,), (0, 12)):
    with pytest.raises(ValueError, match='real and dreamt must be of one sh'):
      figures.trajectories(real, np.ones(shape))


def test_done_scores_show_counts_area_and_threshold():
  rng = np.random.default_rng(1)
  labels = rng.random(3000) < 0.05
  scores = np.clip(rng.normal(0.2 + 0.4 * labels, 0.15), 0, 1)
  figure = figures.done_scores(labels, scores, 0.4)
  left, right = figure.axes
  assert left.get_yscale() == 'log'
  names = [text.get_text() for text in left.get_legend().get_texts()]
  assert f'ends (n = {labels.sum():,})' in names
  assert f'goes on (n = {(~labels).sum():,})' in names
  area = classification.roc_auc(labels, scores)
  assert right.get_title(loc='left') == f'ROC, area {area:.3f}'
  at = classification.precision_recall_at(labels, scores, 0.4)
  (text,) = texts(figure)
  assert text.splitlines()[2] == f'recall {at.recall:.2f}'
  drawn(figure)


def test_done_scores_of_one_class_are_still_drawn():
  figure = figures.done_scores(np.zeros(50), np.linspace(0, 1, 50), 0.5)
  assert 'both classes' in figure.axes[1].get_title(loc='left')
  drawn(figure)


def test_code_shares():
  shares = np.random.default_rng(2).dirichlet([1, 1, 1, 1], (40, 6))
  figure = figures.code_shares(shares)
  entropy, use, _ = figure.axes
  assert sum(bar.get_height() for bar in entropy.patches) == 240
  (picture,) = use.images
  wanted = -np.sort(-shares.mean(0), axis=1).T
  np.testing.assert_allclose(picture.get_array(), wanted)
  drawn(figure)


def test_wide_frames_are_drawn_in_pairs_of_rows():
  frames = np.zeros((3, 8, 32, 3), np.uint8)
  figure = figures.reconstructions(frames, frames)
  assert sum(len(axes.images) for axes in figure.axes) == 6
  assert {axes.get_gridspec().ncols for axes in figure.axes} == {2}
  drawn(figure)


def test_mixture_histograms():
  rng = np.random.default_rng(2)
  weights = rng.dirichlet([1, 1, 1], (40, 6))
  sigmas = rng.gamma(2.0, 0.3, (40, 6, 3))
  figure = figures.mixture_histograms(weights, sigmas, rng.normal(size=(40, 6)))
  entropy, width, values = figure.axes
  assert sum(bar.get_height() for bar in entropy.patches) == 240
  total = sum(bar.get_height() for bar in width.patches)
  assert total == pytest.approx(240)  # The weights of each mixture sum to 1.
  area = sum(bar.get_height() * bar.get_width() for bar in values.patches)
  assert area == pytest.approx(1)
  drawn(figure)
  single = np.ones((10, 2, 1))
  drawn(figures.mixture_histograms(single, single, np.zeros((10, 2))))


def trace_of(steps=30, slots=6, heads=2):
  rng = np.random.default_rng(3)
  return {
    'memory': rng.normal(size=(steps, slots, 4)),
    'usage': rng.random((steps, slots)),
    'write_weights': rng.random((steps, slots)),
    'read_weights': rng.random((steps, heads, slots)),
    'read_modes': rng.dirichlet([1, 1, 1], (steps, heads)),
    'write_gate': rng.random((steps, 1)),
    'free_gates': rng.random((steps, heads)),
    'h': rng.normal(size=(steps, 8)),
  }


def test_memory_trace_shows_every_quantity():
  trace = trace_of()
  figure = memory_trace.memory_trace(trace, marks=[10], title='episode 3')
  panels = {axes.get_title(loc='left'): axes for axes in figure.axes}
  pictures = {
    title: axes.get_images()[0].get_array()
    for title, axes in panels.items()
    if title
  }
  expected = {
    'length of the memory words': np.linalg.norm(trace['memory'], axis=-1).T,
    'usage': trace['usage'].T,
    'write weights': trace['write_weights'].T,
    'read weights, head 0': trace['read_weights'][:, 0].T,
    'read weights, head 1': trace['read_weights'][:, 1].T,
    'read modes per head': trace['read_modes'].reshape(30, 6).T,
    'gates': np.vstack([trace['free_gates'].T, trace['write_gate'].T]),
  }
  assert list(pictures) == list(expected)
  for title, rows in expected.items():
    np.testing.assert_allclose(pictures[title], rows)
  labels = [text.get_text() for text in panels['gates'].get_yticklabels()]
  assert labels == ['free 0', 'free 1', 'write']
  modes = panels['read modes per head'].get_yticklabels()
  assert [text.get_text() for text in modes][:3] == [
    'backward 0',
    'content 0',
    'forward 0',
  ]
  drawn(figure)


def test_memory_trace_of_a_part_and_of_nothing():
  figure = memory_trace.memory_trace({'usage': np.full((5, 3), 0.5)})
  assert figure.axes[0].get_title(loc='left') == 'usage'
  with pytest.raises(ValueError, match=r"trace must have .*got \['h'\]"):
    memory_trace.memory_trace({'h': np.zeros((5, 2))})
  trace = trace_of() | {'usage': np.zeros((29, 6))}
  with pytest.raises(ValueError, match="one length, got .*'usage': 29"):
    memory_trace.memory_trace(trace)


def test_memory_matrices_share_one_scale():
  memory = trace_of()['memory']
  figure = memory_trace.memory_matrices(memory, [0, 29])
  pictures = [axes.get_images()[0] for axes in figure.axes[:2]]
  np.testing.assert_array_equal(pictures[1].get_array(), memory[29])
  assert pictures[0].get_clim() == pictures[1].get_clim()
  assert pictures[0].get_clim()[1] == np.abs(memory[[0, 29]]).max()
  drawn(figure)


def test_saving_is_whole_or_not_at_all(tmp_path, monkeypatch):
  figure = figures.done_scores([0, 1], [0.2, 0.9], 0.5)
  path = tmp_path / 'figures' / 'done.png'
  figures.save(figure, path)
  with Image.open(path) as picture:
    assert picture.size == (1000, 420)
    image = np.array(picture.convert('RGB')).astype(int)
  # The layout settles by a fraction of a pixel from one drawing to the next;
  # with matplotlib 3.10, the last one on Python 3.10, thin lines show it.
  changed = np.abs(image - figures.to_image(figure)).max(-1) >= 16
  assert changed.mean() < 0.01
  before = path.read_bytes()

  def full(*_):
    raise OSError('no space left on device')

  monkeypatch.setattr(files.os, 'replace', full)
  with pytest.raises(OSError, match='no space left'):
    figures.save(figures.done_scores([0, 1], [0.9, 0.2], 0.5), path)
  assert path.read_bytes() == before
  assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
  'call, message',
  [
    (
      lambda: figures.reconstructions(np.zeros((1, 4, 4)), np.zeros((1, 4, 4))),
      r'frames must be of shape \[K, H, W, 3\], K > 0, got \(1, 4, 4\)',
    ),
    (
      lambda: figures.reconstructions(
        np.zeros((2, 4, 4, 3)), np.zeros((1, 4, 4, 3))
      ),
      r'decoded must be of shape \(2, 4, 4, 3\), got \(1, 4, 4, 3\)',
    ),
    (lambda: figures.learning_curves([], []), 'keys .*got none'),
    (
      lambda: figures.learning_curves([{'step': 1, 'loss': 2.0}], ['los']),
      r"got 'los'; there are \['loss', 'step'\]",
    ),
    (lambda: figures.horizon_errors([2, 1], {'M': [1, 1]}), r'got \[2, 1\]'),
    (
      lambda: figures.horizon_errors([1, 2], {'M': [1.0, -1.0]}),
      r"errors\['M'\] must be 2 numbers that .*, got \[1.0, -1.0\]",
    ),
    (
      lambda: figures.horizon_errors([1, 2], {'M': [1.0]}),
      r'must be 2 numbers that .*, got \[1.0\]',
    ),
    (
      lambda: figures.mixture_histograms(
        np.ones((2, 2, 2)), np.ones((2, 2, 2)), np.ones((2, 2))
      ),
      'weights must sum to 1',
    ),
    (
      lambda: figures.mixture_histograms(
        np.ones((2, 2, 1)), np.ones((2, 2)), np.ones((2, 2))
      ),
      r'got \(2, 2, 1\) and \(2, 2\)',
    ),
    (
      lambda: memory_trace.memory_matrices(np.zeros((3, 2, 2)), [3]),
      r'steps must be 1 to 8 numbers in 0..2, got \[3\]',
    ),
    (
      lambda: memory_trace.memory_matrices(np.zeros((3, 2)), [0]),
      r'memory must be .*got \(3, 2\)',
    ),
    (
      lambda: memory_trace.memory_matrices(np.zeros((3, 2, 2)), [1.0]),
      'steps must be an integer, got 1.0',
    ),
    (
      lambda: figures.code_shares(np.ones((2, 3))),
      r'shares must be of shape \[S, G, C\], got \(2, 3\)',
    ),
    (lambda: figures.code_shares(np.ones((2, 3, 4))), 'shares must sum to 1'),
    (
      lambda: figures.mixture_histograms(
        np.ones((2, 2, 1)), -np.ones((2, 2, 1)), np.ones((2, 2))
      ),
      'sigmas must be positive',
    ),
    (
      lambda: figures.mixture_histograms(
        np.ones((2, 2, 1)), np.ones((2, 2, 1)), np.full((2, 2), np.nan)
      ),
      'latents must be finite',
    ),
    (lambda: figures.horizon_errors([0, 1], {'M': [1, 1]}), r'got \[0, 1\]'),
    (lambda: figures.done_scores([1], [0.5, 0.6], 0.5), r'\(1,\) and \(2,\)'),
    (lambda: figures.done_scores([1], [0.5], np.nan), 'threshold .*got nan'),
    (lambda: figures.done_scores([1], [0.5], '0.5'), "threshold .*got '0.5'"),
    (lambda: canvas.new_figure(0), 'width .*at least 1, got 0'),
    (lambda: canvas.new_figure(10.5), 'width .*got 10.5'),
    (lambda: canvas.new_figure(10, True), 'height .*got True'),
    (
      lambda: length_figures.error_over_length([2, 1], {'a': [[1, 1]]}, 1),
      r'lengths must increase, got \[2, 1\]',
    ),
    (
      lambda: length_figures.error_over_length([1], {'a': [[-1.0]]}, 1),
      r"errors\['a'\] must not be negative",
    ),
    (
      lambda: length_figures.error_over_length([1], {'a': [[1.0]]}, 1.5),
      'longest must be an integer of at least 1, got 1.5',
    ),
    (
      lambda: figures.save(canvas.new_figure(), 'a.doom'),
      "path must end in .*'png'.*got 'a.doom'",
    ),
  ],
)
def test_wrong_values_are_named(call, message):
  with pytest.raises(ValueError, match=message):
    call()


def test_hazard_ratios_are_drawn_and_checked():
  nothing = np.full((2, 3), np.nan)
  ratios = {'M': np.array([[1.0, 0.5, 2.0], [0.001, np.nan, np.nan]])}
  drawn = figures.hazard_ratios(['1-2', '3-5'], {**ratios, 'none': nothing})
  (axes,) = drawn.axes
  assert axes.get_ylim() == (0.1, 10)
  assert {line.get_marker() for line in axes.lines} >= {'o'}
  (empty,) = figures.hazard_ratios(['1-2', '3-5'], {'M': nothing}).axes
  assert any('no recorded episode' in text.get_text() for text in empty.texts)
  with pytest.raises(ValueError, match=r'of shape \[2, 3\], got \[1, 3\] of M'):
    figures.hazard_ratios(['1-2', '3-5'], {'M': nothing[:1]})
