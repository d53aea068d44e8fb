"""How new each place was to an agent with --rnd: followed, shown and drawn."""

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from matplotlib import colors
from matplotlib import ticker
from matplotlib.figure import Figure

from nca_tf.analysis import canvas
from nca_tf.analysis import table

_MOST_ROWS = 250  # Of which each has two numbers of every place.
_MOST_MAPS = 5
_MOST_LINES = 6


class Novelty(tf.Module):
  """The intrinsic reward of every place, and visits, all of it checkpointed.

  A row is of one update, before the predictor learns from its window.

  Letters: R rows, N places, M rooms.

  Attributes:
    every: Updates from a row to the next.
    rooms: Number of each place's room, or -1, int [N].
    rewards: Intrinsic reward of each place, [R, N].
    visits: How often each one was seen until then, that window included, int64
      [R, N].
    entered: Update in whose window each room was first seen, or -1, int64 [M].
  """

  def __init__(self, environment, updates: int):
    """Takes an environment with `rooms`, `locate` and `observe`."""
    super().__init__('novelty')
    self.every = math.ceil(updates / _MOST_ROWS)
    self.rooms = np.asarray(environment.rooms)
    self._locate = environment.locate
    self._observe = environment.observe
    places, rows = len(self.rooms), math.ceil(updates / self.every)

    def make(shape, dtype=tf.int64):
      return tf.Variable(tf.zeros(shape, dtype), trainable=False)

    self.rewards = make([rows, places], tf.float32)
    self.visits = make([rows, places])
    self._total = make([places])
    self.entered = make([self.rooms.max() + 1])
    self.entered.assign_sub(tf.ones_like(self.entered))

  def follow(self, update: tf.Tensor, observations: tf.Tensor, rate) -> None:
    """Notes a window; call it inside a graph.

    Args:
      update: Number of updates before it, int64.
      observations: Seen in the window, [B, T, ...].
      rate: Function of observations [N, ...]; returns their rewards [N].
    """
    places = tf.reshape(self._locate(observations), [-1])
    count = len(self.rooms)
    seen = tf.math.unsorted_segment_sum(
      tf.ones_like(places, tf.int64), places, count
    )
    self._total.assign_add(seen)
    in_rooms = tf.math.unsorted_segment_sum(
      seen, self.rooms, self.entered.shape[0]
    )
    is_new = (self.entered < 0) & (in_rooms > 0)
    self.entered.assign(tf.where(is_new, update, self.entered))

    def note():
      row = [update // self.every]
      rewards = rate(self._observe(tf.range(count)))
      for rows, values in (
        (self.rewards, rewards),
        (self.visits, tf.identity(self._total)),
      ):
        rows.scatter_update(tf.IndexedSlices(values[None], row))
      return True

    tf.cond(update % self.every == 0, note, lambda: False)

  def find_means(self) -> np.ndarray:
    """Returns the mean reward of each room's places, [R, M]."""
    rewards = self.rewards.numpy()
    return np.stack(
      [
        rewards[:, self.rooms == room].mean(1)
        for room in range(self.rooms.max() + 1)
      ],
      1,
    )

  def find_rows(self) -> np.ndarray:
    """Returns the row of each room's first visit, or -1, int [M]."""
    entered = self.entered.numpy()
    rows = np.minimum(-(-entered // self.every), self.rewards.shape[0] - 1)
    return np.where(entered < 0, -1, rows)


def tables(config, novelty: Novelty | None) -> dict[str, table.Table]:
  """Returns a table of the rooms by its title, or nothing without novelty."""
  if novelty is None:
    return {}
  means, rows = novelty.find_means(), novelty.find_rows()
  view = table.Table(
    [
      'room',
      'first seen at',
      'visits',
      'reward then',
      'of rooms seen before',
      'reward at the end',
    ],
    digits=4,
  )
  scale = config.lanes * config.window
  visits = novelty.visits.numpy()[-1]
  for room, row in enumerate(rows):
    is_seen = row >= 0
    earlier = means[row, (rows >= 0) & (rows < row)] if is_seen else []
    view.add(
      room + 1,
      int(novelty.entered[room]) * scale if is_seen else None,
      int(visits[novelty.rooms == room].sum()),
      float(means[row, room]) if is_seen else None,
      float(np.mean(earlier)) if len(earlier) else None,
      float(means[-1, room]),
    )
  return {'Intrinsic reward of rooms': view}


def draw(config, novelty: Novelty | None) -> Iterator[tuple[str, Figure]]:
  """Yields a figure and its name, or nothing without novelty.

  Above are maps of visits and of the intrinsic reward, at the first visits of
  rooms and at the end; below the mean of each room over the steps.
  """
  if novelty is None:
    return
  rows = novelty.find_rows()
  moments = np.unique([*rows[rows >= 0], novelty.rewards.shape[0] - 1])
  if len(moments) > _MOST_MAPS:
    chosen = np.linspace(0, len(moments) - 1, _MOST_MAPS).round().astype(int)
    moments = moments[chosen]
  scale = config.lanes * config.window
  figure = canvas.new_figure(1000, 860)
  above, below = figure.subfigures(2, 1, height_ratios=[1.25, 1])
  panels = above.subplots(2, len(moments), squeeze=False)
  side = math.isqrt(len(novelty.rooms))
  is_wall = novelty.rooms.reshape(side, side) < 0
  visits, rewards = novelty.visits.numpy(), novelty.rewards.numpy()
  for panel, values, label, least in (
    (panels[0], visits, 'visits until then', 1),
    (panels[1], rewards, 'intrinsic reward', 1e-12),
  ):
    shown = np.maximum(values[moments][:, novelty.rooms >= 0], least)
    norm = colors.LogNorm(shown.min(), max(shown.max(), 2 * shown.min()))
    for axes, moment in zip(panel, moments, strict=True):
      picture = values[moment].reshape(side, side)
      picture = np.ma.masked_where(is_wall | (picture < least), picture)
      image = axes.imshow(picture, cmap='viridis', norm=norm)
      axes.set_facecolor('white')
      axes.imshow(np.where(is_wall, 0.3, np.nan), cmap='gray', vmin=0, vmax=1)
      axes.set_xticks([])
      axes.set_yticks([])
    above.colorbar(image, ax=panel, label=label)
  for axes, moment in zip(panels[0], moments, strict=True):
    steps = ticker.EngFormatter(places=0, sep='')(
      moment * novelty.every * scale
    )
    axes.set_title(f'{steps} steps', fontsize=11)
  _draw_rooms(below.subplots(), novelty, scale)
  title = f'{config.env}, {config.label}, {config.cell}'
  figure.suptitle(title, fontsize=13)
  yield 'novelty', figure


def _draw_rooms(axes, novelty, scale):
  """Draws the mean reward of each room over the steps."""
  means, rows = novelty.find_means(), novelty.find_rows()
  steps = np.arange(len(means)) * novelty.every * scale
  rooms = np.arange(len(rows))
  if len(rooms) > _MOST_LINES:
    rooms = np.linspace(0, len(rooms) - 1, _MOST_LINES).round().astype(int)
  for number, room in enumerate(rooms):
    colour, row = canvas.COLOURS[number], rows[room]
    end = row + 1 if row >= 0 else len(steps)
    axes.plot(steps[:end], means[:end, room], color=colour, lw=1.5, ls=':')
    style = {'color': colour, 'lw': 2}
    label = f'room {room + 1}'
    if row < 0:
      axes.plot([], [], label=f'{label}, never seen', **style)
      continue
    axes.plot(steps[row:], means[row:, room], label=label, **style)
    axes.plot(steps[row], means[row, room], 'o', ms=9, color=colour)
  canvas.clean(
    axes,
    'mean intrinsic reward of the places of a room; dot: first visit, dotted: '
    'before',
    'steps in all lanes',
  )
  axes.set_yscale('log')
  axes.set_xlim(0, max(steps[-1], 1))
  axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=''))
  axes.legend(frameon=False, fontsize=10)
