"""Figures of lines: colours that belong together, and names at the ends."""

import numpy as np
import pytest
from scipy import optimize

from nca_tf.analysis import canvas
from nca_tf.analysis import figures
from nca_tf.analysis import length_figures
from nca_tf.analysis import score_figures


def test_a_search_has_one_colour_in_the_dream_and_in_the_game():
  curves = {name: ([1, 2], [1.0, 2.0]) for name in ('dream 1', 'dream 2')}
  scores = {
    name: ([1, 2], [[1.0], [2.0]]) for name in ('controller 1', 'controller 2')
  }
  figure = score_figures.scores_over_generations(curves, scores)
  (axes,) = figure.axes
  colours = {line.get_label(): line.get_color() for line in axes.lines}
  for bars in axes.containers:
    colours[bars.get_label()] = bars.lines[0].get_color()
  for number in (1, 2):
    name = f'controller {number}, in the game'
    assert colours[name] == colours[f'dream {number}']
  assert colours['dream 1'] != colours['dream 2']


def test_a_control_is_dashed_in_the_colour_of_its_setting():
  found = {name: ([1], [[[1.0, 2.0]]]) for name in ('dnc', 'lstm', 'control')}
  figure = score_figures.repeated_scores_over_generations(
    found, controls={'control': 'lstm'}
  )
  lines = {line.get_label(): line for line in figure.axes[0].lines}
  assert lines['control'].get_color() == lines['lstm'].get_color()
  assert lines['control'].get_linestyle() == '--'
  assert lines['dnc'].get_color() != lines['lstm'].get_color()


@pytest.mark.parametrize('places', [[0.5] * 4, [0, 0, 1, 1], [0.3, 0.31, 0.9]])
def test_names_at_the_ends_of_lines_move_as_little_as_they_must(places):
  figure = canvas.new_figure()
  axes = figure.subplots()
  axes.set_ylim(0, 1)
  ends = [(place, f'{number}', 'k') for number, place in enumerate(places)]
  canvas.label_ends(axes, ends, gap=0.1)
  heights = np.array([text.get_position()[1] for text in axes.texts])
  assert np.diff(np.sort(heights)).min() > 0.1 - 1e-9
  assert heights.min() >= 0 and heights.max() <= 1
  best = optimize.minimize(
    lambda x: np.sum((x - np.sort(places)) ** 2),
    np.linspace(0, 1, len(places)),
    constraints={'type': 'ineq', 'fun': lambda x: np.diff(x) - 0.1},
    bounds=[(0, 1)] * len(places),
  )
  np.testing.assert_allclose(np.sort(heights), best.x, atol=1e-3)
  # A line leads from each end to its name.
  for line, place, height in zip(axes.lines, places, heights, strict=True):
    np.testing.assert_allclose(line.get_ydata(), [place, height])


def test_a_name_without_a_number_has_no_place():
  figure = canvas.new_figure()
  axes = figure.subplots()
  canvas.label_ends(axes, [(float('nan'), 'lost', 'k'), (0.5, 'there', 'k')])
  assert [text.get_text() for text in figure.axes[0].texts] == ['there']


def test_errors_that_are_no_number_leave_a_gap():
  errors = {'dnc': [[0.1, np.nan, 0.2]], 'lstm': [[np.inf, 0.3, np.nan]]}
  figure = length_figures.error_over_length([1, 2, 3], errors, 2)
  assert [text.get_text() for text in figure.axes[0].texts] == ['dnc']
  figures.to_image(figure)
  lost = {'dnc': [[np.nan, np.nan, np.nan]]}
  figures.to_image(length_figures.error_over_length([1, 2, 3], lost, 2))
