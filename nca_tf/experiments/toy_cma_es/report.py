"""The toy's report, its animation of a search, and the convergence plot."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from matplotlib import ticker
from matplotlib.figure import Figure
from PIL import Image
from PIL import ImageDraw

from nca_tf.analysis import canvas
from nca_tf.evolution import objectives
from nca_tf.experiments.toy_cma_es import settings
from nca_tf.runs import report as report_lib

LIMITS = (-1.0, 20.0)  # Of both axes, as in the original animation.
_SIDE = 560  # Pixels of a frame.
_FINE = 3  # Frames are drawn so many times larger, then made smaller.
# In the original's colours; the ellipse is 1 sigma of the distribution.
_PARTS = (
  ('candidates', canvas.VERMILION),
  ('mean', canvas.GREEN),
  ('best so far', canvas.BLUE),
)
COLOURS = tuple(colour for _, colour in _PARTS)


class Search(NamedTuple):
  """One search for the animation, all of its generations."""

  population: np.ndarray  # [G, P, 2], the candidates
  mean: np.ndarray  # [G, 2], which they were drawn around
  covariance: np.ndarray  # [G, 2, 2], sigma^2 C, which they were drawn with
  best: np.ndarray  # [G, 2], the best candidate up to this generation
  best_fitness: np.ndarray  # [G]


def make(figures) -> report_lib.Report:
  """Returns the report: how many searches have found the minimum.

  The figures are what the stage 'search' left, and under 'restarts' what that
  stage left, if it was done.
  """
  head = describe(figures)
  if 'restarts' in figures:
    head += (
      '\nwith up to {restarts} restarts: {found} of {seeds} seeds, median '
      '{median_evaluations:.0f} evaluations, at most {most_runs} runs'
    ).format(**figures['restarts'])
  return report_lib.Report(head=head)


def describe(figures) -> str:
  """Returns the figures of the searches without restarts, as a line."""
  text = (
    f'first step {figures["sigma"]:g}: {figures["found"]} of '
    f'{figures["seeds"]} seeds within {settings.TOLERANCE:g} of the minimum'
  )
  if figures['median_generation'] is not None:
    text += f', median generation {figures["median_generation"]:.0f}'
  return text


def animate(search: Search) -> np.ndarray:
  """Draws a search over the function's contours, uint8 [G, H, W, 3]."""
  page, place, box = _background()
  count = len(search.mean)
  return np.stack([_frame(page, place, box, search, i) for i in range(count)])


def convergence(distances, tolerance: float, title: str) -> Figure:
  """Draws the distance from the minimum, and the share that has arrived.

  The distances are positive, [S, G + 1] of each seed's mean, the start first.
  What is below the tolerance counts as found.
  """
  distances = np.maximum(np.asarray(distances), 1e-16)
  figure = canvas.new_figure(1000, 420)
  left, right = figure.subplots(1, 2, width_ratios=(3, 2))
  generations = np.arange(distances.shape[1])
  left.plot(generations, distances.T, color=canvas.SKY, lw=0.7, alpha=0.5)
  left.plot(
    generations,
    np.median(distances, 0),
    color=canvas.BLUE,
    lw=2.5,
    label=f'median of {len(distances)} seed{"s"[: len(distances) > 1]}',
  )
  left.axhline(
    tolerance, color=canvas.GREY, ls='--', lw=1.5, label=f'{tolerance:g}'
  )
  left.set_yscale('log')
  left.legend(fontsize=10, frameon=False, loc='lower left')
  canvas.clean(
    left, 'How far the mean is from (10, 10)', 'generation', 'max |m - 10|'
  )
  inside = 100 * np.maximum.accumulate(distances < tolerance, 1).mean(0)
  right.step(generations, inside, where='post', color=canvas.GREEN, lw=2.5)
  right.set_ylim(0, 104)
  right.yaxis.set_major_formatter(ticker.PercentFormatter())
  right.grid(axis='y', color='0.9')
  canvas.clean(
    right, f'Seeds that have been within {tolerance:g}', 'generation'
  )
  for axes in (left, right):
    axes.set_xlim(0, generations[-1])
    canvas.count_along(axes, 7)
  figure.suptitle(title, fontsize=12)
  return figure


def _background():
  """Returns contours with axes, the map to pixels, and the frame."""
  side = _SIDE * _FINE
  figure = canvas.new_figure(_SIDE, _SIDE)
  figure.set_dpi(canvas.DPI * _FINE)
  axes = figure.subplots()
  line = np.linspace(*LIMITS, 1500)
  grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
  values = objectives.schaffer(tf.constant(grid)).numpy()
  axes.contourf(
    line,
    line,
    values.reshape(len(line), len(line)),
    np.linspace(0, 1, 11),
    cmap='Greys',
    vmin=-0.2,
    vmax=3.0,  # Light, so that the dots stand out.
  )
  ticks = range(0, 21, 5)
  axes.set(xlim=LIMITS, ylim=LIMITS, xticks=ticks, yticks=ticks, aspect='equal')
  axes.set_title(' ', fontsize=11)  # Room for the caption.
  handles = [
    axes.plot([], [], 'o', ms=5, color=colour, label=name)[0]
    for name, colour in _PARTS
  ]
  handles += axes.plot([], [], color=canvas.GREEN, lw=2, label='1 sigma')
  figure.legend(
    handles=handles,
    loc='outside lower center',
    ncols=4,
    frameon=False,
    fontsize=10,
  )
  page = Image.fromarray(canvas.to_image(figure))

  def place(points):
    pixels = axes.transData.transform(points)
    return np.stack([pixels[..., 0], side - pixels[..., 1]], -1)

  box = axes.get_window_extent()
  frame = (box.x0, side - box.y1, box.x1, side - box.y0)
  return page, place, tuple(map(round, frame))


def _frame(page, place, box, search, i):
  overlay = page.copy()
  draw = ImageDraw.Draw(overlay)
  _dots(draw, place(search.population[i]), 3, canvas.VERMILION)
  turn = np.linspace(0, 2 * np.pi, 73)
  circle = np.stack([np.cos(turn), np.sin(turn)])
  values, vectors = np.linalg.eigh(search.covariance[i])
  root = vectors * np.sqrt(np.maximum(values, 0))
  points = place((root @ circle).T + search.mean[i])
  draw.line(points.ravel().tolist(), canvas.GREEN, 2 * _FINE, joint='curve')
  _dots(draw, place(search.mean[i : i + 1]), 4, canvas.GREEN)
  _dots(draw, place(search.best[i : i + 1]), 4, canvas.BLUE)
  # Cuts off what lies outside the axes.
  result = page.copy()
  result.paste(overlay.crop(box), box)
  sigma = np.sqrt(np.trace(search.covariance[i]) / 2)
  best = search.best_fitness[i]
  ImageDraw.Draw(result).text(
    (box[0], box[1] - 8 * _FINE),
    f'generation {i}    step size {sigma:.2g}    best {best:.1e}',
    fill='black',
    font_size=13 * _FINE,
    anchor='ls',
  )
  result = result.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
  return np.array(result)


def _dots(draw, points, radius, colour):
  radius *= _FINE
  for point in points:
    draw.circle(tuple(point), radius, colour, 'white', _FINE)
