"""What all pictures share: size, colours, and writing them whole.

Figures are made through matplotlib's objects, never through pyplot: nothing
global is kept, so that pictures may be drawn from any thread and are freed.
"""

import io
import pathlib

import numpy as np
from matplotlib import ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nca_tf import checks
from nca_tf import files

# Okabe and Ito (2008), "Color Universal Design": told apart by everyone.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = COLOURS = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#E69F00',
  '#CC79A7',
  '#56B4E9',
)
GREY = '#6B6B6B'
DPI = 100


def new_figure(width: int = 1000, height: int = 400) -> Figure:
  """Empty figure of a size in pixels, laid out so that nothing overlaps."""
  width = checks.integer('width', width, least=1)
  height = checks.integer('height', height, least=1)
  figure = Figure((width / DPI, height / DPI), dpi=DPI, layout='constrained')
  FigureCanvasAgg(figure)
  figure.set_facecolor('white')
  return figure


def line_style(number: int, lw: float = 1.8) -> dict:
  """Colour, marker and width of one of several lines that may be equal.

  The first ones, which are drawn below, are wider: they show beside others.
  """
  place, wider = number % len(COLOURS), max(0, 2.6 - 1.3 * number)
  style = {'color': COLOURS[place], 'marker': 'osD^vP'[place]}
  return {**style, 'lw': lw + wider, 'ms': 5 + wider}


def clean(axes, title: str = '', x: str = '', y: str = '') -> None:
  """Labels axes with what they show and its unit; removes the clutter."""
  axes.set_title(title, fontsize=12, loc='left')
  axes.set_xlabel(x, fontsize=11)
  axes.set_ylabel(y, fontsize=11)
  axes.tick_params(labelsize=10)
  axes.spines[['top', 'right']].set_visible(False)


def count_along(axes, most: int = 9) -> None:
  """Marks whole numbers on the horizontal axis, of which one may be all."""
  locator = ticker.MaxNLocator(most, integer=True, min_n_ticks=1)
  axes.xaxis.set_major_locator(locator)
  first, last = axes.get_xlim()
  if last - first < 1:
    axes.set_xlim(first - 0.5, last + 0.5)


def label_row(axes, text: str) -> None:
  """Writes a text upright at the left of the first picture of a row."""
  style = {'rotation': 90, 'fontsize': 11, 'ha': 'right', 'va': 'center'}
  place = {'xycoords': 'axes fraction', 'textcoords': 'offset points'}
  axes.annotate(text, (0, 0.5), (-5, 0), **place, **style)


def label_ends(axes, ends, gap: float = 0.05) -> None:
  """Writes each line's name beside its right end, apart from each other.

  A thin line leads from the end to a name that had to give way.

  Args:
    axes: drawn to completion; its limits are fixed from here on.
    ends: (value, name, colour) of each line's last point; one that is not
      finite has no place, and no name.
    gap: least distance of two names, in heights of the axes.
  """
  axes.set_ylim(axes.get_ylim())
  scale = axes.transScale + axes.transLimits
  right = axes.get_xlim()[1]
  ends = [end for end in ends if np.isfinite(end[0])]
  places = np.array([scale.transform((right, end[0]))[1] for end in ends])
  for place, height, (_, name, colour) in zip(
    places, _spread(places, gap), ends, strict=True
  ):
    where = {'color': colour, 'transform': axes.transAxes}
    axes.plot([1, 1.015], [place, height], lw=1, clip_on=False, **where)
    axes.text(1.02, height, name, fontsize=11, va='center', **where)


def _spread(places, gap):
  """Moves places apart by the least sum of squares, within 0 and 1."""
  count = len(places)
  gap = min(gap, 1 / max(1, count - 1))
  order = np.argsort(places, kind='stable')
  # Less the room that those below need, the places must only not decrease:
  # neighbours that do take their mean (isotonic regression).
  blocks = []
  for place in np.asarray(places)[order] - gap * np.arange(count):
    blocks.append([place, 1])
    while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
      (one, few), (other, more) = blocks[-2:]
      whole = few + more
      blocks[-2:] = [[(one * few + other * more) / whole, whole]]
  spread = [value for value, size in blocks for _ in range(size)]
  heights = np.empty(count)
  room = max(0, 1 - gap * (count - 1))
  heights[order] = np.clip(spread, 0, room) + gap * np.arange(count)
  return heights


def say_nothing_to_draw(axes, text: str) -> None:
  """Writes into empty axes why they are empty."""
  axes.set_xticks([])
  axes.set_yticks([])
  centred = {'ha': 'center', 'transform': axes.transAxes}
  axes.text(0.5, 0.5, text, color=GREY, fontsize=12, **centred)


def to_image(figure: Figure) -> np.ndarray:
  """Draws a figure as uint8 [H, W, 3]."""
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3].copy()


def save(figure: Figure, path) -> None:
  """Writes a figure whole or not at all.

  Args:
    figure: any matplotlib figure.
    path: file name; its ending is the format (png, svg, pdf).

  Raises:
    ValueError: an ending that matplotlib does not know.
    OSError: the file cannot be written; an earlier one is left as it was.
  """
  path = pathlib.Path(path)
  kind = path.suffix[1:].lower()
  known = sorted(FigureCanvasAgg.get_supported_filetypes())
  if kind not in known:
    raise ValueError(f'path must end in one of {known}, got {str(path)!r}')
  stream = io.BytesIO()
  figure.savefig(stream, format=kind, dpi=DPI)
  files.write_whole(path, stream.getvalue())
