"""Moving pictures: the game, its reconstruction and the dream side by side."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from PIL import ImageColor
from PIL import ImageDraw
from PIL import ImageFont

from nca_tf import checks
from nca_tf import files

GAP, HEADING, CAPTION = 6, 18, 16
BUDGET = 4_000_000  # Bytes of a file.
_FEW_COLOURS = 64
PAPER, INK, RED = (24, 24, 24), (235, 235, 235), (214, 39, 40)


def side_by_side(
  columns: Mapping[str, np.ndarray],
  *,
  scale: int = 3,
  captions: Sequence[str] | None = None,
  done: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
  """Columns of frames with their names above, a line of text below.

  Args:
    columns: for each name uint8 [T, H, W, 3], all of one shape.
    scale: how many times as large, by repeating pixels.
    captions: T texts, one line each.
    done: for some of the names bool [T]; where it holds, the column has a red
      border and says so, and the reader knows that the episode has ended.

  Returns:
    uint8 [T, H', W', 3].

  Raises:
    ValueError: shapes or lengths that differ, or an unknown name in `done`.
  """
  scale = checks.integer('scale', scale, least=1)
  columns = {name: np.asarray(frames) for name, frames in columns.items()}
  shape = _check(columns, captions, done or {})
  steps, height, width = shape[0], shape[1] * scale, shape[2] * scale
  top = HEADING + GAP
  bottom = top + height + GAP
  page = np.empty(
    (
      steps,
      bottom + (CAPTION if captions is not None else 0),
      len(columns) * (width + GAP) + GAP,
      3,
    ),
    np.uint8,
  )
  page[:] = PAPER
  font = ImageFont.load_default(12)
  for i, (name, frames) in enumerate(columns.items()):
    left = GAP + i * (width + GAP)
    ended = np.zeros(steps, bool)
    if done and name in done:
      ended = np.asarray(done[name], bool)
    page[:, top : top + height, left : left + width] = frames.repeat(
      scale, axis=1
    ).repeat(scale, axis=2)
    for over in (False, True):
      chosen = ended == over
      text = f'{name}: done' if over else name
      label = _text(text, width, HEADING, RED if over else INK, font)
      page[chosen, GAP // 2 : GAP // 2 + HEADING, left : left + width] = label
    _border(page[:, top : top + height, left : left + width], ended)
  for t, text in enumerate(captions or ()):
    label = _text(str(text), page.shape[2] - 2 * GAP, CAPTION, INK, font)
    page[t, bottom - 2 : bottom - 2 + CAPTION, GAP:-GAP] = label
  return page


def gif_bytes(
  frames, fps: float = 15, colours: Sequence[str] = (), budget: int = BUDGET
) -> bytes:
  """An endless GIF with one palette for all frames.

  GIFs count hundredths of a second: the frames last unequally long by one of
  them, so that the whole keeps its length. Frames that do not change are
  written as one that lasts longer. What is too large for the budget gets fewer
  colours, and then as many frames as there is room for, but never fewer than
  the first and the last.

  Args:
    frames: uint8 [T, H, W, 3], T > 0.
    fps: frames per second, at most 50, above which players slow down.
    colours: names or '#rrggbb' that must stay what they are, however few
      pixels have them; at most 16.
    budget: bytes to stay below.

  Raises:
    ValueError: a wrong shape, or frames per second or a budget out of range.
  """
  frames = np.asarray(frames)
  if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
    raise ValueError(
      f'frames must be of shape [T, H, W, 3], T > 0, got {frames.shape}'
    )
  if frames.dtype != np.uint8:
    raise ValueError(f'frames must be uint8, got {frames.dtype}')
  fps = checks.real('fps', fps, above=0, most=50)
  budget = checks.integer('budget', budget, least=1)
  count, stride = 256, 1
  data = _encode(frames, stride, fps, colours, count)
  while len(data) > budget and stride < len(frames):
    # Fewer colours save a quarter; frames farther apart differ more.
    saved = 0.75 if count == 256 else 1
    least = stride if count == 256 else stride + 1
    count = max(_FEW_COLOURS, 5 * len(colours))
    stride = max(least, round(saved * stride * len(data) / budget))
    data = _encode(frames, stride, fps, colours, count)
  return data


def _encode(frames, stride, fps, colours, count):
  """The GIF of every so many frames, and of the last; each stays till the next.

  Its palette has `count` colours.
  """
  last = len(frames) - 1
  chosen = np.unique(np.append(np.arange(0, last, stride), last))
  palette = _palette(frames, colours, count)
  pictures = [
    Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
    for frame in frames[chosen]
  ]
  ends = np.round(np.append(chosen, len(frames)) * 100 / fps).astype(int)
  stream = io.BytesIO()
  pictures[0].save(
    stream,
    format='GIF',
    save_all=True,
    append_images=pictures[1:],
    duration=[int(10 * ticks) for ticks in np.diff(ends)],
    loop=0,
    optimize=True,
    disposal=1,
  )
  return stream.getvalue()


def write_gif(frames, path, fps: float = 15) -> None:
  """Writes `gif_bytes` to a file, whole or not at all."""
  files.write_whole(path, gif_bytes(frames, fps))


def _palette(frames, colours, count):
  """Colours, chosen in at most 64 frames spread over the whole time."""
  chosen = np.unique(np.linspace(0, len(frames) - 1, 64).astype(int))
  sheet = frames[chosen].reshape(-1, frames.shape[2], 3)
  # Each colour that must be there comes with three mixtures with white.
  count -= 4 * len(colours)
  palette = Image.fromarray(sheet).quantize(count, Image.Quantize.MEDIANCUT)
  values = palette.getpalette()[: 3 * count]
  for colour in colours:
    colour = np.array(ImageColor.getrgb(colour))
    for share in (1, 0.75, 0.5, 0.25):
      values += np.round(255 + share * (colour - 255)).astype(int).tolist()
  palette.putpalette(values)
  return palette


def _border(frames, ended, thick=3):
  edge = np.ones(frames.shape[1:3], bool)
  edge[thick:-thick, thick:-thick] = False
  frames[ended[:, None, None] & edge] = RED


def _text(text, width, height, colour, font):
  if font.getlength(text) > width - 2:
    while text and font.getlength(f'{text}...') > width - 2:
      text = text[:-1]
    text += '...'
  picture = Image.new('RGB', (width, height), PAPER)
  ImageDraw.Draw(picture).text((1, 0), text, fill=colour, font=font)
  return np.array(picture)


def _check(columns, captions, done):
  if not columns:
    raise ValueError('columns must name at least one column, got none')
  shapes = {name: frames.shape for name, frames in columns.items()}
  shape = next(iter(shapes.values()))
  if len(set(shapes.values())) > 1 or len(shape) != 4 or shape[-1] != 3:
    raise ValueError(f'columns must be of one shape [T, H, W, 3], got {shapes}')
  for name, frames in columns.items():
    if frames.dtype != np.uint8:
      raise ValueError(f'columns[{name!r}] must be uint8, got {frames.dtype}')
  if captions is not None and len(captions) != shape[0]:
    raise ValueError(f'captions must be {shape[0]} texts, got {len(captions)}')
  for name, ended in done.items():
    if name not in columns or len(ended) != shape[0]:
      raise ValueError(
        f'done must have {shape[0]} values for names of columns, got'
        f' {name!r} with {len(ended)}'
      )
  return shape
