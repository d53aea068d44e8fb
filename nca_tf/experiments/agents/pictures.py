"""Pictures of one episode of an agent: film, values, places, memory."""

import numpy as np
from matplotlib import colors

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.analysis import animation
from nca_tf.analysis import canvas
from nca_tf.analysis import memory_trace
from nca_tf.experiments.agents import episode as episode_lib
from nca_tf.memory import cells

_TRACED = 500  # Steps of a picture of the memory.


def draw(run, training) -> dict:
  """Plays an episode and shows it, in `figures/` and in TensorBoard.

  Returns:
    Its return and its length.
  """
  config, step = run.config, run.config.updates
  title = f'{config.env}, {config.label}, {config.cell}: actions drawn'
  played = episode_lib.play(training)
  if played.film is not None:
    pages, fps = played.film
    gif = animation.gif_bytes(pages, fps)
    files.write_whole(run.figures / 'episode.gif', gif)
    run.log.animation('figures/episode', gif, pages.shape[1:3], step)
  names = [stream.name for stream in config.streams]
  run.show('values', draw_values(played, names, title), step)
  made = training.collector.environment
  if training.visited is not None and hasattr(made, 'walls'):
    cells_seen = training.visited.numpy()
    path = made.locate(played.observations).numpy()
    run.show('places', draw_places(made.walls, cells_seen, path, title), step)
  cell = training.agent.network.cell
  if cell is not None and cells.has_memory(cell):
    _draw_memory(run, played, title, step)
  return {
    'return': float(played.rewards.sum()),
    'length': len(played.rewards),
  }


def _draw_memory(run, played, title, step):
  """The memory over the episode, and its content at some of its steps."""
  trace = {name: part[:_TRACED] for name, part in played.state.items()}
  rewards = played.rewards[:_TRACED]
  marks, note = np.flatnonzero(rewards), ' (lines: rewards)'
  if not 0 < len(marks) <= min(40, len(rewards) // 4):  # They would hide it.
    marks, note = (), ''
  figure = memory_trace.memory_trace(trace, marks=marks, title=title + note)
  run.show('memory_trace', figure, step)
  chosen = np.unique(np.linspace(0, len(rewards) - 1, 6).astype(int))
  figure = memory_trace.memory_matrices(trace['memory'], chosen, title)
  run.show('memory', figure, step)


def draw_values(played, names, title):
  """Rewards, what the agent expected, and the novelty of each step."""
  rewards = np.cumsum(played.rewards)
  panels = [('sum of rewards', rewards, canvas.BLUE)]
  for name, values in zip(names, played.values.T, strict=True):
    panels.append((f'value, {name}', values, canvas.GREEN))
  if played.novelty is not None:
    panels.append(('intrinsic reward', played.novelty, canvas.VERMILION))
  figure = canvas.new_figure(1000, 60 + 150 * len(panels))
  stack = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
  for axes, (label, values, colour) in zip(stack, panels, strict=True):
    axes.plot(np.arange(len(values)), values, color=colour, lw=1.5)
    canvas.clean(axes, label)
  stack[-1].set_xlim(0, max(1, len(rewards) - 1))
  stack[-1].set_xlabel('step', fontsize=11)
  figure.suptitle(title, fontsize=13)
  return figure


def draw_places(walls, visited, path, title):
  """Where training has been, and the way of one episode.

  Args:
    walls: Bool [size, size].
    visited: Bool [size * size], whether training ever saw a place.
    path: Places of the episode, in order, [L + 1].
    title: Above it.
  """
  size = len(walls)
  kinds = np.where(visited.reshape(size, size), 1, 0)
  kinds[walls] = 2
  figure = canvas.new_figure(800, 720)
  axes = figure.subplots()
  shades = colors.ListedColormap(['white', '#CFE3F3', '#404040'])
  axes.imshow(kinds, cmap=shades, vmin=-0.5, vmax=2.5)
  row, column = np.divmod(path, size)
  # Places that are crossed again and again stay apart.
  rng = random_numbers.generator(0, 'picture of a way')
  jitter = rng.uniform(-0.25, 0.25, (2, len(path)))
  x, y = column + jitter[0], row + jitter[1]
  axes.plot(x, y, color=canvas.GREY, lw=0.7, zorder=1)
  dots = axes.scatter(x, y, c=np.arange(len(path)), cmap='plasma', s=14)
  axes.plot(0, 0, 's', ms=15, mfc='none', mec=canvas.BLUE, mew=2)
  axes.plot(size - 1, size - 1, 's', ms=15, mfc='none', mec=canvas.GREEN, mew=2)
  edges = np.arange(-0.5, size)
  axes.set_xticks(edges, labels=[])
  axes.set_yticks(edges, labels=[])
  axes.tick_params(length=0)
  axes.grid(color='#B0B0B0', lw=0.5, zorder=0)
  axes.set_xlabel(
    'blue: seen in training; white: never; dark: walls; squares: start and goal'
  )
  figure.colorbar(dots, ax=axes, label='step of the episode')
  figure.suptitle(title, fontsize=13)
  return figure
