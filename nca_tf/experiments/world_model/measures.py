"""Held-out measures of train_world_model: M beside its baselines."""

import numpy as np

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.analysis import table
from nca_tf.play import labelled
from nca_tf.runs import report as report_lib
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import hazard
from nca_tf.world_model import label_probe
from nca_tf.world_model import measures as measures_lib
from nca_tf.world_model import mixture
from nca_tf.world_model import world_model as world_model_lib

HORIZON = max(measures_lib.HORIZONS)
PIXEL_EPISODES = 40  # Decoded for the measures in pixels.
ARRAYS = 'measures.npz'
HAZARD = 'hazard '  # How the names of these arrays begin.
_NAMES = ('done_labels', 'done_logits', 'weights', 'latents')

_NOTES = """\
{episodes} held-out episodes, {forecasts} one-step forecasts. NLL: nats per \
latent dimension.
MSE k: k steps ahead, open loop from posterior means; drawn: z from its \
posterior, as M is trained.
{pixels}done: from drawn z, one step ahead; precision and recall at logit 0.
Deaths: from true states under the recorded actions, a-b steps ahead.
{labels}Brackets: 95 % bootstrap intervals over episodes.
"""
_LABELS = """\
Labels: logistic regression on half of the episodes, measured on the others.
"""
_PIXELS = """\
pixels k: the same after decoding, 1000 x squared error of grey levels 0..1.
"""


def is_whole(run) -> bool:
  """Whether the files that `measure` leaves can be read."""
  try:
    files.read_arrays(run.path / ARRAYS, _NAMES)
    return bool((run.path / 'summary.txt').read_text(encoding='utf-8').strip())
  except (FileNotFoundError, ValueError):
    return False


def measure(run, world_model, latents, recordings) -> dict:
  """Publishes the measures of the held-out `latents`; returns them for JSON."""
  print('measure: held-out episodes', flush=True)
  config = run.config
  actions = world_model.model.action_size
  means = forecast_lib.pad(latents, actions)
  noise = random_numbers.generator(config.seed, 'held-out latents')
  sampled = forecast_lib.pad(latents, actions, noise)
  frames = None  # A vector is its own latent: MSE k says all of it.
  if world_model.spec.has_frames:
    frames = list(recordings.held_out_frames(PIXEL_EPISODES).values())
  decode = world_model.codec.decode
  untrained = world_model.untrained(config.seed).model

  rows, curves, groups = {}, {}, {}

  def open_loop_errors(name, predictions, starts):
    """Errors of latents and decoded pixels; keeps those for the figure."""
    errors = {
      k: measures_lib.at_horizon(predictions, starts, means, k)
      for k in range(1, HORIZON + 1)
    }
    curves[name] = np.array([each.mean() for each in errors.values()])
    pixels = {
      k: measures_lib.pixel_errors(
        predictions[:, :, k - 1], starts, frames, k, decode
      )
      for k in (measures_lib.HORIZONS if frames else ())
    }
    latent = {k: errors[k] for k in measures_lib.HORIZONS}
    return {'latent': latent, 'pixels': pixels}

  for name, model in (('M', world_model.model), ('untrained M', untrained)):
    on_means = forecast_lib.forecast(model, means, HORIZON)
    on_samples = forecast_lib.forecast(model, sampled, HORIZON)
    groups[name] = measures_lib.done_scores(on_samples, sampled)
    open_loop = measures_lib.open_loop(on_means, means)
    rows[f'{name} ({config.cell})'] = measures_lib.Row(
      nll=measures_lib.likelihood(on_samples, sampled),
      sampled=measures_lib.one_step(on_samples.mean, sampled),
      mean=measures_lib.one_step(on_means.mean, means),
      done=measures_lib.done_measures(groups[name], config.seed),
      **open_loop_errors(name, open_loop['model'], on_means.starts),
    )
  for name in ('copy last frame', 'constant velocity'):
    drawn, mean = (
      measures_lib.one_step(measures_lib.baselines(each.z)[name], each)
      for each in (sampled, means)
    )
    errors = open_loop_errors(name, open_loop[name], on_means.starts)
    rows[name] = measures_lib.Row(sampled=drawn, mean=mean, **errors)
  _publish(run, world_model, latents, rows, curves, groups['M'])
  return measures_lib.as_json(rows)


def _publish(run, world_model, latents, rows, curves, groups):
  """Publishes all of it, with what is measured of deaths and labels."""
  config = run.config
  hazards = _hazards(run, world_model, latents)
  arrays = _arrays(world_model.model, latents, curves, groups)
  for name, found in hazards.items():
    ratios = [hazard.ratio(group) for group in found.values()]
    arrays[f'{HAZARD}{name}'] = np.array(ratios)
  labels = _probe(config, world_model)
  if labels is not None:
    arrays['labels'] = labels
  files.write_arrays(run.path / ARRAYS, arrays)
  tables = {'Deaths': hazard.tabulate(hazards)}
  if labels is not None:
    view = table.Table(['AUC from z', *world_model.spec.labels])
    view.add(f'V ({config.vision})', *labels)
    tables['Labels'] = view
  report = _report(rows, tables)
  run.publish(report, step=config.model_steps)


def _probe(config, world_model):
  """How well z tells each of the game's labels; None where it has none."""
  if not world_model.spec.labels or not config.probe_episodes:
    return None
  print(f'measure: labels of {config.probe_episodes} episodes', flush=True)
  player, options = config.player, config.game_options
  what = config.env, player, config.probe_episodes, config.seed, options
  played = labelled.play(*what)
  z, _ = world_model.codec.encode(played.frames)
  return label_probe.measure(z, played.labels, played.episode)


def _hazards(run, world_model, latents):
  """The deaths that M imagines, and did before its done head was refitted."""
  config, models = run.config, {'M': world_model.model}
  stage = world_model_lib.DONE_HEAD
  if run.is_finished(stage) and 'step' in run.info(stage):
    before = world_model.untrained(config.seed).model
    world_model_lib.restore(run.path, 'model', before)
    models['M, done head of true states'] = before
  return {
    name: hazard.measure(model, latents, config.done_weight, config.seed)
    for name, model in models.items()
  }


def _arrays(model, latents, curves, groups):
  """What the figures need, so that a resumed run can still draw them."""
  z = latents.mean[:512].astype(np.float32)
  action = forecast_lib.one_hot(latents.action[:512], model.action_size)
  prediction = model(z[None], action[None], latents.is_first[None, :512])
  sigmas = getattr(prediction.latent, 'scale', None)
  if sigmas is None:  # An M over codes: the probabilities of their classes.
    weights = np.exp(prediction.latent.logits)
  else:
    weights = mixture.weights(prediction.latent)
  found = {
    **{f'curve {name}': values for name, values in curves.items()},
    'done_labels': np.concatenate([labels for labels, _ in groups]),
    'done_logits': np.concatenate([scores for _, scores in groups]),
    'weights': np.asarray(weights)[0],
    'latents': z,
  }
  return found if sigmas is None else {**found, 'sigmas': sigmas[0].numpy()}


def _report(rows, further):
  some = next(iter(rows.values()))
  notes = _NOTES.format(
    episodes=len(some.mean.count),
    forecasts=some.mean.count.sum(),
    pixels=_PIXELS if some.pixels else '',
    labels=_LABELS if 'Labels' in further else '',
  )
  tables = {
    'Latents': measures_lib.latent_table(rows),
    'Game': measures_lib.game_table(rows),
    **further,
  }
  return report_lib.Report(tables, f'{_comparisons(rows)}\n{notes}')


def _comparisons(rows):
  """Lines that say by how much M's one-step error is below the others'."""
  name, *others = rows
  lines = []
  for other in others:
    for z in ('drawn', 'mean'):
      errors = (
        row.sampled if z == 'drawn' else row.mean
        for row in (rows[name], rows[other])
      )
      less = measures_lib.difference(*errors).text(4)
      lines.append(f'MSE 1 of {name} less {other}, z {z}: {less}\n')
  return ''.join(lines)
