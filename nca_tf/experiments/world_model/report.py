"""What a person sees of train_world_model: figures, GIFs, TensorBoard."""

import numpy as np
import tensorflow as tf

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.analysis import animation
from nca_tf.analysis import figures
from nca_tf.analysis import memory_trace
from nca_tf.experiments.world_model import measures
from nca_tf.memory import cells
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import hazard
from nca_tf.world_model import imagination

_SECONDS = 3  # Of the dream, where a step is a tic of the game.
_BUDGET = 150_000  # Bytes of each dream of a training, of which it shows ten.
_SPEED = 0.5  # Of the animation, compared with the game.
_WARM = 60  # Most steps that M sees before it dreams.
# Units of what is drawn of the trainings.
_VISION_UNITS = {
  'reconstruction': 'squared error per frame',
  'kl': 'nats per frame',
  'total': 'per frame',
}
_MODEL_UNITS = {
  'nll': 'nats per latent dimension',
  'done_loss': 'nats per step, weighted',
  'reward_loss': 'squared error',
  'kl': 'nats per step',
  'reconstruction': 'nats per step',
  'loss': 'nats',
}


def draw_reconstructions(run, codec, frames, step):
  """Frames and what V makes of them; vectors are their own latents."""
  if not run.config.game_spec.has_frames:
    return
  drawn = codec.decode(codec.encode(frames)[0])
  run.show('reconstructions', figures.reconstructions(frames, drawn), step)


class DreamPicture:
  """A held-out episode beside the dream that starts in its middle.

  An animation, or curves where the game shows vectors.
  """

  def __init__(self, run, model, codec, latents, recordings):
    """Prepares an episode of held-out `latents`; M may learn meanwhile."""
    self._run, self._model, self._codec = run, model, codec
    tics_per_second = run.config.game_spec.tics_per_second
    self._frames_per_second = _SPEED * tics_per_second
    longest = max(latents.episodes, key=lambda part: part.stop - part.start)
    frames = recordings.episode_frames(int(latents.episode[longest.start]))
    self._warm = min(_WARM, len(frames) // 3)
    self._steps = min(
      round(_SECONDS * tics_per_second), len(frames) - self._warm - 1
    )
    self._frames = frames[self._warm + 1 : self._warm + 1 + self._steps]
    steps = slice(longest.start, longest.start + self._warm + 1 + self._steps)
    self._z = latents.mean[steps].astype(np.float32)
    action = latents.action[steps]
    self._action = forecast_lib.one_hot(action, model.action_size)
    self._dream = tf.function(self._imagine, autograph=False)

  def draw(self, step, folder=None):
    """Publishes the picture; an animation with a folder also as `dream.gif`."""
    if self._steps < 1:  # Every held-out episode ends with its first step.
      return
    z, done = (part.numpy()[0] for part in self._dream(tf.constant(step)))
    if not self._run.config.game_spec.has_frames:
      figure = figures.trajectories(self._frames, self._codec.decode(z))
      self._run.show('dream', figure, step)
      return
    columns = {
      'game': self._frames,
      'V of the game': self._codec.decode(self._z[self._warm + 1 :]),
      'dream of M': self._codec.decode(z),
    }
    captions = [
      f'dreamt step {i + 1} of {len(z)}   p(done) {p:.3f}'
      for i, p in enumerate(done)
    ]
    ended = np.logical_or.accumulate(done > 0.5)
    pages = animation.side_by_side(
      columns,
      scale=3 if folder else 2,
      captions=captions,
      done={'dream of M': ended},
    )
    budget = animation.BUDGET if folder else _BUDGET
    gif = animation.gif_bytes(pages, self._frames_per_second, budget=budget)
    self._run.log.animation('figures/dream', gif, pages.shape[1:3], step)
    if folder:
      files.write_whole(folder / 'dream.gif', gif)

  def _imagine(self, step):
    model, warm = self._model, self._warm
    first = np.arange(warm)[None] == 0
    _, state = model.unroll(
      self._z[None, :warm], self._action[None, :warm], first, model.initial(1)
    )
    z = tf.cast(self._z[None, warm], model.variable_dtype)
    action = self._action[None, warm : warm + self._steps]
    action = tf.cast(action, model.variable_dtype)
    key = random_numbers.key(self._run.config.seed, 'dream picture', step)
    carry = imagination.Carry(z, state, tf.constant([False]))
    act = imagination.replay(action)
    draw = imagination.sampler(model, 1.0, key)
    imagined, _ = imagination.imagine(model, carry, act, self._steps, draw)
    return imagined.z, imagined.done_probability


def draw(run, world_model, latents, recordings):
  """All figures of a finished run, on its held-out `latents`."""
  print(f'figures: {run.figures}', flush=True)
  step = run.config.model_steps
  model, codec = world_model.model, world_model.codec
  frames = next(iter(recordings.held_out_frames(1).values()))
  spread = frames[:: max(1, len(frames) // 8)][:8]
  draw_reconstructions(run, codec, spread, run.config.vision_steps)
  picture = DreamPicture(run, model, codec, latents, recordings)
  picture.draw(step, run.figures)
  _draw_measures(run, step)
  for stage, units in (('vision', _VISION_UNITS), ('model', _MODEL_UNITS)):
    records = run.log.records(stage)
    known = set().union(*records)  # Not all models predict rewards.
    keys = {name: unit for name, unit in units.items() if name in known}
    if keys:  # A V of another run was not trained in this one.
      figure = figures.learning_curves(records, keys, stage)
      run.show(f'learning_curves_{stage}', figure, step)
  if cells.has_memory(model.cell):
    _draw_memory(run, model, latents, step)


def _draw_measures(run, step):
  data = files.read_arrays(run.path / measures.ARRAYS)
  names = [name for name in data if name.startswith('curve ')]
  curves = {name.removeprefix('curve '): data[name] for name in names}
  reached = np.all([np.isfinite(values) for values in curves.values()], axis=0)
  horizons = np.arange(1, len(reached) + 1)[reached]
  figure = figures.horizon_errors(
    horizons, {name: values[reached] for name, values in curves.items()}
  )
  run.show('horizon_errors', figure, step)
  if 0 < data['done_labels'].sum() < len(data['done_labels']):
    scores = 1 / (1 + np.exp(-data['done_logits'].astype(np.float64)))
    figure = figures.done_scores(data['done_labels'], scores, 0.5)
    run.show('done_scores', figure, step)
  ratios = {
    name.removeprefix(measures.HAZARD): values
    for name, values in data.items()
    if name.startswith(measures.HAZARD)
  }
  if ratios:  # A measurement of an older version has none.
    figure = figures.hazard_ratios(hazard.NAMES, ratios)
    run.show('hazards', figure, step)
  if 'sigmas' in data:
    kind, names = 'mixture', ('weights', 'sigmas', 'latents')
    figure = figures.mixture_histograms(*(data[name] for name in names))
  else:
    kind, names = 'codes', ('weights', 'latents')
    figure = figures.code_shares(data['weights'])
  run.show(kind, figure, step)
  for name in names:
    run.log.histogram(f'{kind}/{name}', data[name], step)


def _draw_memory(run, model, latents, step, limit=200):
  """The cell's memory over the first held-out episode."""
  steps = slice(0, min(limit, latents.episodes[0].stop))
  action = forecast_lib.one_hot(latents.action[steps], model.action_size)
  inputs = model.inputs(
    latents.mean[steps][None], action[None], latents.is_first[steps][None]
  )
  trace = {
    name: np.asarray(part, np.float32)[0]
    for name, part in cells.trace(model.cell, inputs).items()
  }
  name = cells.get(run.config.cell).title
  moved = np.diff(latents.action[steps].reshape(len(action), -1), axis=0)
  turns = np.flatnonzero(moved.any(-1)) + 1
  figure = memory_trace.memory_trace(
    trace,
    title=f'{name} over one held-out episode (lines: the action changes)',
    marks=turns[:40],
  )
  run.show('memory_trace', figure, step)
  chosen = np.unique(np.linspace(0, len(action) - 1, 6).astype(int))
  figure = memory_trace.memory_matrices(trace['memory'], chosen)
  run.show('memory_matrices', figure, step)
  for name in ('usage', 'write_weights', 'read_weights'):
    run.log.histogram(f'memory/{name}', trace[name], step)
