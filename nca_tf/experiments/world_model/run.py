"""The world model of a game: rollouts, V, latents, M, measures, SavedModels.

Ha and Schmidhuber, World Models (2018), steps 1 to 3 of its section 3.2, with
a DNC or an LSTM as M's cell. Each stage resumes and is done once.
"""

import functools
import json
import pathlib
import shutil

import numpy as np

from nca_tf.command_line import faults
from nca_tf.datasets import latents as latents_lib
from nca_tf.datasets import rollouts
from nca_tf.experiments.world_model import data
from nca_tf.experiments.world_model import measures
from nca_tf.experiments.world_model import report
from nca_tf.experiments.world_model import settings
from nca_tf.memory import cells
from nca_tf.play import collect as collect_lib
from nca_tf.runs import checkpoints
from nca_tf.runs import progress
from nca_tf.runs import run as run_lib
from nca_tf.saved_models import export
from nca_tf.training import compilation
from nca_tf.training import loop
from nca_tf.training import model as model_training
from nca_tf.training import vision as vision_training
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import world_model as world_model_lib


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  name = f'{config.env}-{config.cell}-{config.seed}'
  about = f'{config.env}, {config.cell}'
  curve = f'{config.cell}-{config.seed}'
  with run_lib.start(config, settings.NAME, name, about, curve=curve) as run:
    training = Training(run)
    training.train()
    world_model = world_model_lib.WorldModel.load(run.path)
    recordings = training.recordings
    _, latents = world_model_lib.read_latents(run.path, config.held_out)
    given = run, world_model, latents, recordings
    is_measured = run.is_finished('measure')
    run.stage('measure', lambda: measures.measure(*given))
    run.stage('export', lambda: _export(run, world_model))
    run.stage('figures', lambda: report.draw(*given))
    if is_measured:  # By an earlier process, which printed it.
      print((run.path / 'summary.txt').read_text())
    other = next(name for name in cells.names() if name != config.cell)
    run.goodbye(
      SavedModels=f'{run.export}/vision, {run.export}/model',
      Next=f'bin/{settings.NAME} --env={config.env} --cell={other} '
      f'--preset={config.preset}',
    )


def train(config: settings.Config) -> int:
  """Trains V and M in `config.run_dir`, without the measures.

  Returns:
    The number of recorded frames.
  """
  about = f'{config.env}, {config.cell}'
  curve = f'{config.cell}-{config.seed}'
  with run_lib.start(config, settings.NAME, '', about, curve=curve) as run:
    Training(run).train()
    return run.info('encode')['frames']


def collect(label, folder, env, policy, episodes, seed, **options) -> None:
  """`play.collect.collect`, with `label` on its progress."""
  done = min(rollouts.count(folder), episodes)
  options['shard_size'] = max(1, min(32, episodes // 4))
  with progress.Progress(label, episodes, 'episodes', done) as bar:
    options['progress'] = bar.update
    collect_lib.collect(folder, env, policy, episodes, seed, **options)


def _export(run, world_model):
  print('export: SavedModels', flush=True)
  export.export_vision(world_model.vision, run.export / 'vision')
  export.export_model(world_model.model, run.export / 'model')


class Training:
  """Trains the parts of a world model that an open run lacks.

  Attributes:
    recordings: The episodes, data.Recordings.
  """

  def __init__(self, run: run_lib.Run):
    self._run = run
    self._config = config = run.config
    folders = config.rollouts or [run.path / 'rollouts']
    self.recordings = data.Recordings(
      folders, config.game_spec, config.held_out
    )

  def train(self) -> None:
    """Collects episodes, trains V, encodes the episodes and trains M."""
    run = self._run
    if not self._config.rollouts:
      run.stage('collect', self._collect)
    if self._config.initial_vision and not run.is_finished('vision'):
      _copy_vision(self._config.initial_vision, run)
    run.stage('vision', self._train_vision)
    run.stage('encode', self._encode)
    run.stage('model', self._train_model)

  def _collect(self):
    config, target = self._config, self._run.path / 'rollouts'
    what = config.env, config.policy, config.episodes, config.seed
    how = {'processes': config.processes, 'options': config.game_options}
    collect('collect', target, *what, **how)
    return {'episodes': rollouts.count(target)}

  @functools.cached_property
  def codec(self) -> codec_lib.Codec:
    """V as a codec."""
    return codec_lib.Codec(self._vision)

  @functools.cached_property
  def _vision(self):
    """V as it was trained, or as its training begins."""
    vision = self._config.architecture.make_vision(self._config.seed)
    is_trained = self._run.is_finished('vision')
    folder = self._run.path if is_trained else self._config.initial
    if folder:
      world_model_lib.restore(folder, 'vision', vision)
    return vision

  def _train_vision(self):
    config, run = self._config, self._run
    try:
      batches = self.recordings.batches(
        config.vision_batch, config.seed, config.mirror
      )
    except ValueError as error:
      raise faults.UsageError(f'--vision_batch: {error}') from error
    trainer = vision_training.VisionTrainer(
      self._vision,
      batches,
      seed=config.seed,
      learning_rate=config.vision_rate,
      sharpness=config.vision_sharpness,
      jit=compilation.compiles(config.jit, pays_on_cpu=False),
    )
    frames = self.recordings.held_out_frames(limit=4)
    sample = np.concatenate(list(frames.values()))
    sample = sample[:: max(1, len(sample) // 200)][:200]

    def evaluate(done):
      report.draw_reconstructions(run, self.codec, sample[::25], done)
      return trainer.evaluate(sample)

    steps = config.vision_steps
    return self._fit('vision', self._vision, trainer, steps, evaluate)

  def _encode(self):
    folder, mirror = self._run.path / 'latents', self._config.mirror
    return {'frames': self.recordings.encode(self.codec, folder, mirror)}

  def _train_model(self):
    config, run = self._config, self._run
    model = config.architecture.make_model(config.game_spec, config.seed)
    if config.initial:
      world_model_lib.restore(config.initial, 'model', model)
    latents, held_out_latents = world_model_lib.read_latents(
      run.path, config.held_out, config.mirror
    )
    streams = self._streams(latents, config.model_batch, config.window)
    steps = len(held_out_latents.is_first)
    rows = max(1, min(config.model_batch, steps // (config.window + 1)))
    window = min(config.window, steps - 1)
    held_out = self._streams(held_out_latents, rows, window, 'held-out windows')
    picture = report.DreamPicture(
      run, model, self.codec, held_out_latents, self.recordings
    )
    pays = cells.get(config.cell).jit_pays_on_cpu
    trainer = model_training.ModelTrainer(
      model,
      streams,
      seed=config.seed,
      learning_rate=model_training.Decay(config.model_rate, config.model_decay),
      done_weight=config.done_weight,
      jit=compilation.compiles(config.jit, pays),
    )

    def evaluate(done):
      picture.draw(done)
      return trainer.evaluate(held_out)

    steps, state = config.model_steps, trainer.state
    return self._fit('model', model, trainer, steps, evaluate, state=state)

  def _fit(self, stage, model, trainer, steps, evaluate, **state):
    """Trains `model`, and returns its last record."""
    run = self._run
    parts = {'model': model, 'optimizer': trainer.optimizer, **state}
    loop.fit(
      stage,
      trainer.step,
      steps,
      checkpoints=checkpoints.Checkpoints(run.checkpoints / stage, **parts),
      log=run.log,
      held_out=evaluate,
    )
    return run.log.records(stage)[-1]

  def _streams(self, latents, batch, window, purpose='windows'):
    try:
      return latents_lib.Streams(
        latents, batch, window, self._config.seed, purpose
      )
    except ValueError as error:
      raise faults.UsageError(f'--model_batch, --window: {error}') from error


def _copy_vision(source, run):
  """Takes over V, which counts as finished, and the latents that it made."""
  path = pathlib.Path(source)
  finished = json.loads((path / 'stages.json').read_text())
  for part in ('checkpoints/vision', 'latents'):
    shutil.copytree(path / part, run.path / part, dirs_exist_ok=True)
  run.finish('vision', finished['vision'])
