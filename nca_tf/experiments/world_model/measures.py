"""Held-out measures of train_world_model: M beside its baselines."""

import numpy as np

from nca_tf import files
from nca_tf import random_numbers
from nca_tf.runs import report as report_lib
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import measures as measures_lib
from nca_tf.world_model import mixture

HORIZON = max(measures_lib.HORIZONS)
PIXEL_EPISODES = 40  # Decoded for the measures in pixels.
ARRAYS = 'measures.npz'

_NOTES = """\
{episodes} held-out episodes, {forecasts} one-step forecasts. NLL: nats per \
latent dimension.
MSE k: k steps ahead, open loop from posterior means; drawn: z from its \
posterior, as M is trained.
pixels k: the same after decoding, 1000 x squared error of grey levels 0..1.
done: from drawn z, one step ahead; precision and recall at logit 0.
Brackets: 95 % bootstrap intervals over episodes.
"""


def measure(run, world_model, latents, recordings) -> dict:
  """Publishes the measures, and writes what the figures are drawn from.

  Args:
    run: runs.run.Run of the world model.
    world_model: WorldModel.
    latents: Of the held-out episodes.
    recordings: data.Recordings.

  Returns:
    The measures, for JSON.
  """
  print('measure: held-out episodes', flush=True)
  config = run.config
  actions = world_model.model.action_size
  means = forecast_lib.pad(latents, actions)
  noise = random_numbers.generator(config.seed, 'held-out latents')
  sampled = forecast_lib.pad(latents, actions, noise)
  frames = list(recordings.held_out_frames(PIXEL_EPISODES).values())
  decode = world_model.codec.decode
  untrained = world_model.untrained(config.seed).model
  rows, curves = {}, {}
  for name, model in (('M', world_model.model), ('untrained M', untrained)):
    on_means = forecast_lib.forecast(model, means, HORIZON)
    on_samples = forecast_lib.forecast(model, sampled, HORIZON)
    groups = measures_lib.done_scores(on_samples, sampled)
    open_loop = measures_lib.open_loop(on_means, means)
    rows[f'{name} ({config.cell})'] = measures_lib.Row(
      nll=measures_lib.likelihood(on_samples, sampled),
      sampled=measures_lib.one_step(on_samples.mean, sampled),
      mean=measures_lib.one_step(on_means.mean, means),
      done=measures_lib.done_measures(groups, config.seed),
      **_at_horizons(
        open_loop['model'], on_means.starts, means, frames, decode
      ),
    )
    curves[name] = _curve(open_loop['model'], on_means.starts, means)
    if model is world_model.model:
      starts, trained_groups = on_means.starts, groups
  for name in ('copy last frame', 'constant velocity'):
    drawn, mean = (
      measures_lib.one_step(measures_lib.baselines(each.z)[name], each)
      for each in (sampled, means)
    )
    rows[name] = measures_lib.Row(
      nll=None,
      sampled=drawn,
      mean=mean,
      done=None,
      **_at_horizons(open_loop[name], starts, means, frames, decode),
    )
    curves[name] = _curve(open_loop[name], starts, means)
  arrays = _arrays(world_model.model, latents, curves, trained_groups)
  files.write_arrays(run.path / ARRAYS, arrays)
  run.publish(_report(rows), step=config.model_steps)
  return measures_lib.as_json(rows)


def _at_horizons(predictions, starts, episodes, frames, decode):
  """Errors of open-loop forecasts, of latents and of decoded pixels."""
  return {
    'latent': {
      horizon: measures_lib.at_horizon(predictions, starts, episodes, horizon)
      for horizon in measures_lib.HORIZONS
    },
    'pixels': {
      horizon: measures_lib.pixel_errors(
        predictions[:, :, horizon - 1], starts, frames, horizon, decode
      )
      for horizon in measures_lib.HORIZONS
    },
  }


def _curve(predictions, starts, episodes):
  return np.array(
    [
      measures_lib.at_horizon(predictions, starts, episodes, horizon).mean()
      for horizon in range(1, HORIZON + 1)
    ]
  )


def _arrays(model, latents, curves, groups):
  """What the figures need, so that a resumed run can still draw them."""
  z = latents.mean[:512].astype(np.float32)
  action = forecast_lib.one_hot(latents.action[:512], model.action_size)
  prediction = model(z[None], action[None], latents.is_first[None, :512])
  weights = mixture.weights(prediction.latent)
  return {
    **{f'curve {name}': values for name, values in curves.items()},
    'done_labels': np.concatenate([labels for labels, _ in groups]),
    'done_logits': np.concatenate([scores for _, scores in groups]),
    'weights': np.asarray(weights)[0],
    'sigmas': np.asarray(prediction.latent.scale)[0],
    'latents': z,
  }


def _report(rows):
  some = next(iter(rows.values()))
  notes = _NOTES.format(
    episodes=len(some.mean.count), forecasts=some.mean.count.sum()
  )
  return report_lib.Report(
    {
      'Latents': measures_lib.latent_table(rows),
      'Game': measures_lib.game_table(rows),
    },
    f'{_comparisons(rows)}\n{notes}',
  )


def _comparisons(rows):
  """Lines that say by how much M's one-step error is below the others'."""
  name, *others = rows
  return ''.join(
    f'MSE 1 of {name} less {other}, {form}: {interval.text(4)}\n'
    for other in others
    for form, interval in measures_lib.against(rows, name, other).items()
  )
