"""What all pictures share: size, colours, and writing them whole.

Figures are made through matplotlib's objects, never through pyplot: nothing
global is kept, so that pictures may be drawn from any thread and are freed.
"""

import io
import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
  figure = Figure((width / DPI, height / DPI), dpi=DPI, layout='constrained')
  FigureCanvasAgg(figure)
  figure.set_facecolor('white')
  return figure


def clean(axes, title: str = '', x: str = '', y: str = '') -> None:
  """Labels axes with what they show and its unit; removes the clutter."""
  axes.set_title(title, fontsize=12, loc='left')
  axes.set_xlabel(x, fontsize=11)
  axes.set_ylabel(y, fontsize=11)
  axes.tick_params(labelsize=10)
  axes.spines[['top', 'right']].set_visible(False)


def label_row(axes, text: str) -> None:
  """Writes a text upright at the left of the first picture of a row."""
  style = {'rotation': 90, 'fontsize': 11, 'ha': 'right', 'va': 'center'}
  axes.text(-0.06, 0.5, text, transform=axes.transAxes, **style)


def label_ends(axes, ends, gap: float = 0.05) -> None:
  """Writes each line's name at its right end, apart from each other.

  Args:
    axes: drawn to completion; its vertical limits are fixed from here on.
    ends: (value, name, colour) of each line's last point.
    gap: least distance of two names, in heights of the axes.
  """
  axes.set_ylim(axes.get_ylim())
  scale = axes.transScale + axes.transLimits
  places = [scale.transform((axes.get_xlim()[1], end[0]))[1] for end in ends]
  order = np.argsort(places)
  heights = np.array(places)[order]
  for i in range(1, len(heights)):
    heights[i] = max(heights[i], heights[i - 1] + gap)
  heights -= max(0, heights[-1] - 1)
  for height, i in zip(heights, order, strict=True):
    axes.text(
      1.01,
      height,
      ends[i][1],
      color=ends[i][2],
      fontsize=11,
      va='center',
      transform=axes.transAxes,
    )


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
