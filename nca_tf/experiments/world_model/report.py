"""What a person sees of train_world_model: figures, GIFs, TensorBoard."""

import numpy as np
import tensorflow as tf

from nca_tf import random_numbers
from nca_tf.analysis import animation
from nca_tf.analysis import figures
from nca_tf.analysis import memory_trace
from nca_tf.experiments.world_model import measures as world_model_measures
from nca_tf.memory import dnc
from nca_tf.memory import dnc_layer
from nca_tf.saved_models import export
from nca_tf.world_model import forecast as forecast_lib

DREAM_STEPS = 105  # three seconds of the game
FRAMES_PER_SECOND = 17.5  # half speed
TEMPERATURE = 1.0


def draw_reconstructions(stages, frames, step):
  """Frames and what V makes of them."""
  drawn = stages.codec.decode(stages.codec.encode(frames)[0])
  figure = figures.reconstructions(frames, drawn)
  _publish(stages, 'reconstructions', figure, step)


class Dream:
  """A held-out episode beside the dream that starts in its middle."""

  def __init__(self, stages):
    """Prepares the episode; what is drawn later is `stages.model`."""
    self._stages = stages
    latents = stages.held_out_latents
    longest = max(latents.episodes, key=lambda part: part.stop - part.start)
    episode = int(latents.episode[longest.start])
    frames = next(
      frames
      for path, inside in stages.index
      if episode in [index for index, _ in inside]
      for index, frames in stages.read_frames(path, held_out=True)
      if index == episode
    )
    self._warm = min(60, len(frames) // 3)
    self._steps = min(DREAM_STEPS, len(frames) - self._warm - 1)
    self._frames = frames[self._warm + 1 : self._warm + 1 + self._steps]
    steps = slice(longest.start, longest.start + self._warm + 1 + self._steps)
    self._z = latents.mean[steps].astype(np.float32)
    self._action = forecast_lib.one_hot(
      latents.action[steps], stages.model.action_size
    )
    self._run = tf.function(self._dream, autograph=False)

  def draw(self, step, folder=None):
    """Publishes the animation; with a folder also as `dream.gif`."""
    if self._steps < 1:  # Every held-out episode ends with its first step.
      return
    codec = self._stages.codec
    z, done = (part.numpy()[0] for part in self._run(tf.constant(step)))
    real = self._z[self._warm + 1 :]
    columns = {
      'game': self._frames,
      'V of the game': codec.decode(real),
      'dream of M': codec.decode(z),
    }
    captions = [
      f'dreamt step {i + 1} of {len(z)}   p(done) {p:.3f}'
      for i, p in enumerate(done)
    ]
    ended = np.logical_or.accumulate(done > 0.5)
    pages = animation.side_by_side(
      columns, captions=captions, done={'dream of M': ended}
    )
    gif = animation.gif_bytes(pages, FRAMES_PER_SECOND)
    self._stages.log.animation('figures/dream', gif, pages.shape[1:3], step)
    if folder:
      animation.write_gif(pages, folder / 'dream.gif', FRAMES_PER_SECOND)

  def _dream(self, step):
    model, warm = self._stages.model, self._warm
    first = np.arange(warm)[None] == 0
    _, state = model.unroll(
      self._z[None, :warm], self._action[None, :warm], first, model.initial(1)
    )
    dtype = model.variable_dtype
    z, done, _ = export.unroll_dream(
      model,
      tf.cast(self._z[None, warm], dtype),
      tf.cast(self._action[None, warm : warm + self._steps], dtype),
      tf.constant([False]),
      state,
      TEMPERATURE,
      random_numbers.key(self._stages.config.seed, 'dream picture', step),
    )
    return z, done


def draw(stages):
  """All figures of a finished run."""
  if stages.folder.is_finished('figures'):
    return
  print(f'figures: {stages.folder.figures}', flush=True)
  step = stages.config.model_steps
  frames = next(iter(stages.held_out_frames(1).values()))
  spread = frames[:: max(1, len(frames) // 8)][:8]
  draw_reconstructions(stages, spread, stages.config.vision_steps)
  Dream(stages).draw(step, stages.folder.figures)
  _draw_measures(stages, step)
  for stage, keys in (
    ('vision', ('reconstruction', 'kl', 'total')),
    ('model', ('nll', 'done_loss', 'loss')),
  ):
    records = stages.log.records(stage)
    if records:  # A V of another run was not trained in this one.
      figure = figures.learning_curves(records, keys, stage)
      _publish(stages, f'learning_curves_{stage}', figure, step)
  if isinstance(stages.model.cell, dnc.DNCCell):
    _draw_memory(stages, step)
  stages.folder.finish('figures')


def _draw_measures(stages, step):
  path = stages.folder.path / world_model_measures.ARRAYS
  with np.load(path, allow_pickle=False) as arrays:
    data = dict(arrays)
  curves = {
    name.removeprefix('curve '): values
    for name, values in data.items()
    if name.startswith('curve ')
  }
  reached = np.all([np.isfinite(values) for values in curves.values()], axis=0)
  horizons = np.arange(1, len(reached) + 1)[reached]
  figure = figures.horizon_errors(
    horizons, {name: values[reached] for name, values in curves.items()}
  )
  _publish(stages, 'horizon_errors', figure, step)
  if 0 < data['done_labels'].sum() < len(data['done_labels']):
    scores = 1 / (1 + np.exp(-data['done_logits'].astype(np.float64)))
    figure = figures.done_scores(data['done_labels'], scores, 0.5)
    _publish(stages, 'done_scores', figure, step)
  figure = figures.mixture_histograms(
    data['weights'], data['sigmas'], data['latents']
  )
  _publish(stages, 'mixture', figure, step)
  for name in ('weights', 'sigmas', 'latents'):
    stages.log.histogram(f'mixture/{name}', data[name], step)


def _draw_memory(stages, step, limit=200):
  """The DNC's memory over the first held-out episode."""
  latents = stages.held_out_latents
  steps = slice(0, min(limit, latents.episodes[0].stop))
  action = forecast_lib.one_hot(latents.action[steps], stages.model.action_size)
  inputs = stages.model.inputs(
    latents.mean[steps][None], action[None], latents.is_first[steps][None]
  )
  layer = dnc_layer.DNC(
    stages.model.cell, return_sequences=True, return_trace=True
  )
  trace = {
    name: np.asarray(part, np.float32)[0]
    for name, part in layer(inputs)[-1]._asdict().items()
  }
  turns = np.flatnonzero(np.diff(latents.action[steps])) + 1
  figure = memory_trace.memory_trace(
    trace,
    title='DNC over one held-out episode (lines: the action changes)',
    marks=turns[:40],
  )
  _publish(stages, 'memory_trace', figure, step)
  moments = np.unique(np.linspace(0, len(action) - 1, 6).astype(int))
  figure = memory_trace.memory_matrices(trace['memory'], moments)
  _publish(stages, 'memory_matrices', figure, step)
  for name in ('usage', 'write_weights', 'read_weights'):
    stages.log.histogram(f'memory/{name}', trace[name], step)


def _publish(stages, name, figure, step):
  figures.save(figure, stages.folder.figures / f'{name}.png')
  stages.log.image(f'figures/{name}', figures.to_image(figure), step)
