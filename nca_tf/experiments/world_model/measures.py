"""Held-out measures of train_world_model: M beside its baselines."""

import numpy as np

from nca_tf import files
from nca_tf.world_model import forecast as forecast_lib
from nca_tf.world_model import measures as evaluation
from nca_tf.world_model import mixture

HORIZON = max(evaluation.HORIZONS)
PIXEL_EPISODES = 40  # decoded for the measures in pixels
ARRAYS = 'measures.npz'


def measure(stages):
  """Writes summary.md, summary.txt and the arrays behind the figures."""
  print('measure: held-out episodes', flush=True)
  latents = stages.held_out_latents
  actions = stages.model.action_size
  means = forecast_lib.pad(latents, actions)
  noise = np.random.default_rng((stages.config.seed, 1))
  sampled = forecast_lib.pad(latents, actions, noise)
  frames = stages.held_out_frames(PIXEL_EPISODES)
  untrained = stages.make_model(stages.config.seed + 2)
  rows, curves = {}, {}
  for name, model in (('M', stages.model), ('untrained M', untrained)):
    on_means = forecast_lib.forecast(model, means, HORIZON)
    on_samples = forecast_lib.forecast(model, sampled, HORIZON)
    groups = evaluation.done_scores(on_samples, sampled)
    open_loop = evaluation.open_loop(on_means, means)
    rows[f'{name} ({stages.config.cell})'] = evaluation.Row(
      nll=evaluation.likelihood(on_samples, sampled),
      sampled=evaluation.one_step(on_samples.mean, sampled),
      mean=evaluation.one_step(on_means.mean, means),
      done=evaluation.done_measures(groups, stages.config.seed),
      **_at_horizons(stages, open_loop['model'], on_means, means, frames),
    )
    curves[name] = _curve(open_loop['model'], on_means, means)
    if model is stages.model:
      trained, trained_groups = on_means, groups
  for name in ('copy last frame', 'constant velocity'):
    rows[name] = evaluation.Row(
      nll=None,
      sampled=evaluation.one_step(
        evaluation.baselines(sampled.z)[name], sampled
      ),
      mean=evaluation.one_step(evaluation.baselines(means.z)[name], means),
      done=None,
      **_at_horizons(stages, open_loop[name], trained, means, frames),
    )
    curves[name] = _curve(open_loop[name], trained, means)
  _save_arrays(stages, curves, trained_groups)
  _write_summary(stages, rows)
  stages.folder.finish('measure', evaluation.as_json(rows))


def _at_horizons(stages, predictions, forecasts, episodes, frames):
  """Errors of open-loop forecasts, of latents and of decoded pixels."""
  starts = forecasts.starts
  return {
    'latent': {
      horizon: evaluation.at_horizon(predictions, starts, episodes, horizon)
      for horizon in evaluation.HORIZONS
    },
    'pixels': {
      horizon: evaluation.pixel_errors(
        predictions[:, :, horizon - 1],
        starts,
        list(frames.values()),
        horizon,
        stages.codec.decode,
      )
      for horizon in evaluation.HORIZONS
    },
  }


def _curve(predictions, forecasts, episodes):
  return np.array(
    [
      evaluation.at_horizon(
        predictions, forecasts.starts, episodes, horizon
      ).mean()
      for horizon in range(1, HORIZON + 1)
    ]
  )


def _save_arrays(stages, curves, groups):
  """What the figures need, so that a resumed run can still draw them."""
  latents = stages.held_out_latents
  z = latents.mean[:512].astype(np.float32)
  action = forecast_lib.one_hot(latents.action[:512], stages.model.action_size)
  prediction = stages.model(z[None], action[None], latents.is_first[None, :512])
  weights = mixture.weights(prediction.latent)
  arrays = {f'curve {name}': values for name, values in curves.items()}
  arrays['done_labels'] = np.concatenate([labels for labels, _ in groups])
  arrays['done_logits'] = np.concatenate([scores for _, scores in groups])
  arrays['weights'] = np.asarray(weights)[0]
  arrays['sigmas'] = np.asarray(prediction.latent.scale)[0]
  arrays['latents'] = z
  files.write_arrays(stages.folder.path / ARRAYS, arrays)


def _write_summary(stages, rows):
  tables = evaluation.latent_table(rows), evaluation.game_table(rows)
  notes = _notes(rows)
  path = stages.folder.path
  text = '\n\n'.join([*(part.text() for part in tables), notes])
  path.joinpath('summary.txt').write_text(text)
  markdown = '\n'.join([*(part.markdown() for part in tables), notes])
  path.joinpath('summary.md').write_text(markdown)
  stages.log.text('measures', markdown, stages.config.model_steps)


def _notes(rows):
  some = next(iter(rows.values()))
  return (
    f'{_comparisons(rows)}\n'
    f'{len(some.mean.count)} held-out episodes, {some.mean.count.sum()} '
    'one-step forecasts. NLL: nats per latent dimension.\n'
    'MSE k: k steps ahead, open loop from posterior means; drawn: z from its '
    'posterior, as M is trained.\n'
    'pixels k: the same after decoding, 1000 x squared error of grey levels '
    '0..1.\n'
    'done: from drawn z, one step ahead; precision and recall at logit 0.\n'
    'Brackets: 95 % bootstrap intervals over episodes.\n'
  )


def _comparisons(rows):
  """Lines that say by how much M's one-step error is below the others'."""
  name, *others = rows
  lines = []
  for other in others:
    for form, interval in evaluation.against(rows, name, other).items():
      lines.append(f'MSE 1 of {name} less {other}, {form}: {interval.text(4)}')
  return '\n'.join(lines) + '\n'
