"""The world model of a game: rollouts, V, latents, M, measures, SavedModels.

Ha and Schmidhuber, World Models (2018), steps 1 to 3 of its section 3.2, with
a DNC or an LSTM as M's cell. Each stage resumes and is done once.
"""

import functools
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
from nca_tf.runs import run_files
from nca_tf.runs import run_folder
from nca_tf.saved_models import export
from nca_tf.training import best_weights
from nca_tf.training import compilation
from nca_tf.training import done_head
from nca_tf.training import loop
from nca_tf.training import model as model_training
from nca_tf.training import vision as vision_training
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import vision as vision_lib
from nca_tf.world_model import world_model as world_model_lib

_DONE_HEAD = world_model_lib.DONE_HEAD
_MOST_MORE = 16  # Times the episodes that were asked for.


def run(config: settings.Config) -> None:
  """Makes what the run folder lacks, and reports."""
  about = f'{config.env}, {config.cell}'
  curve = f'{config.cell}-{config.seed}'
  with run_lib.start(
    config, settings.NAME, config.run_name, about, curve=curve
  ) as run:
    training = Training(run)
    training.train(last='figures')
    world_model = world_model_lib.WorldModel.load(run.path)
    recordings = training.recordings
    _, latents = world_model_lib.read_latents(run.path, config.held_out)
    given = run, world_model, latents, recordings
    is_measured = run.is_finished('measure') and measures.is_whole(run)
    run.stage('measure', lambda: measures.measure(*given), lambda: is_measured)
    run.stage(
      'export', lambda: _export(run, world_model), lambda: _is_exported(run)
    )
    run.stage('figures', lambda: report.draw(*given))
    if is_measured:  # By an earlier process, which printed it.
      print((run.path / 'summary.txt').read_text(encoding='utf-8'))
    run.goodbye(
      SavedModels=f'{run.export}/vision, {run.export}/model',
      Next=config.next_command(run.path),
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
    try:
      collect_lib.collect(folder, env, policy, episodes, seed, **options)
    except ValueError as error:  # They are not what is to be recorded here.
      raise faults.Fault(f'{error}; choose another --run_dir') from error


def _is_exported(run):
  names = 'vision', 'model'
  return all(run_files.is_saved_model(run.export / name) for name in names)


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

  def train(self, last: str = 'model') -> None:
    """Collects episodes, trains V, encodes the episodes and trains M.

    What an earlier process finished and what then got lost is made again: each
    stage counted what it left. `last` is the last stage that reads the
    episodes, after which nobody misses them.
    """
    run = self._run
    is_over = run.is_finished(last)
    if not self._config.rollouts:
      whole = functools.partial(self._is_recorded, is_over)
      run.stage('collect', self._collect, whole)
    is_trained = functools.partial(run_files.is_trained, run)
    source = self._config.initial_vision
    if source and not (run.is_finished('vision') and is_trained('vision')):
      _copy_vision(source, run)
    run.stage('vision', self._train_vision, lambda: is_trained('vision'))
    run.stage('encode', self._encode, self._is_encoded)
    if not is_over:
      self._check_frames()
    run.stage('model', self._train_model, lambda: is_trained('model'))
    if self._config.done_open_loop:
      run.stage(_DONE_HEAD, self._fit_done_head, self._has_done_head)

  def _is_recorded(self, is_over):
    """Whether all episodes are there; once they are used, only roughly."""
    folder = self._run.path / 'rollouts'
    try:
      rollouts.read_spec(folder)
      episodes = rollouts.count(folder) if is_over else self.recordings.episodes
    except (ValueError, faults.Fault):
      return False
    return self._run.info('collect').get('episodes') in (None, episodes)

  def _is_encoded(self):
    config = self._config
    try:
      world_model_lib.read_latents(
        self._run.path, config.held_out, config.mirror
      )
    except faults.Fault as error:
      faults.warn(str(error))
      return False
    return True

  def _check_frames(self):
    """Refuses to go on with fewer frames than were encoded."""
    counted = self._run.info('encode').get('frames')
    found = self.recordings.frames
    if found != counted and counted is not None:
      folders = ', '.join(self._config.rollouts) or self._run.path / 'rollouts'
      raise faults.Fault(
        f'{folders} must hold the {counted} frames that were encoded, got '
        f'{found}; put back the files that it lost'
      )

  def _collect(self):
    """Records episodes: twice as many, and so on, where they are too short."""
    config, target = self._config, self._run.path / 'rollouts'
    how = {'processes': config.processes, 'options': config.game_options}
    total = config.episodes
    while True:
      what = config.env, config.policy, total, config.seed
      collect('collect', target, *what, **how)
      self.recordings.read_again()
      is_last = total >= _MOST_MORE * config.episodes
      if is_last or self._fills_a_batch(target, total):
        return {'episodes': rollouts.count(target)}
      total *= 2

  def _fills_a_batch(self, folder, total):
    """Whether the first episodes are enough for an update of V and of M.

    What an interrupted process has recorded beyond `total` does not count, so
    that the same command always ends with the same episodes.
    """
    config, steps = self._config, 0
    frames = config.vision_batch if config.game_spec.has_frames else 0
    wanted = max(config.model_batch * (config.window + 1), frames)
    for episode in rollouts.read(folder, frames=False):
      if episode.index >= total:
        break
      if not world_model_lib.is_held_out(episode.index, config.held_out):
        steps += episode.length  # The step after the last may have no frame.
      if steps >= wanted:
        return True
    return False

  @functools.cached_property
  def codec(self) -> codec_lib.Codec:
    """V as a codec."""
    return codec_lib.Codec(self._vision)

  @functools.cached_property
  def _vision(self):
    """V as it was trained, or as its training begins."""
    config, run = self._config, self._run
    vision = config.architecture.make_vision(config.game_spec, config.seed)
    is_trained = run.is_finished('vision') and run_files.is_trained(
      run, 'vision'
    )
    folder = run.path if is_trained else config.initial
    if folder:
      world_model_lib.restore(folder, 'vision', vision)
    return vision

  def _train_vision(self):
    config, run = self._config, self._run
    if not config.game_spec.has_frames:
      return self._standardise()
    try:
      batches = self.recordings.batches(
        config.vision_batch, config.seed, config.mirror
      )
    except ValueError as error:
      raise faults.UsageError(f'--vision_batch: {error}') from error
    weighs = self._vision.network.weighs_colours
    trainer = vision_training.VisionTrainer(
      self._vision,
      batches,
      seed=config.seed,
      learning_rate=config.vision_rate,
      sharpness=config.vision_sharpness,
      colour_weights=vision_lib.weigh_colours(batches(0)) if weighs else None,
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

  def _standardise(self):
    """Fits what stands in V's place; M goes on with the first one's units."""
    vision = self._vision
    if not self._config.initial:
      vision.fit(*self.recordings.moments())
    path = self._run.checkpoints / 'vision'
    checkpoints.Checkpoints(path, model=vision).save(1)
    return {'numbers': vision.latent_size}

  def _encode(self):
    folder, mirror = self._run.path / 'latents', self._config.mirror
    if self._run.is_finished('encode'):
      self._check_frames()
    return {'frames': self.recordings.encode(self.codec, folder, mirror)}

  def _train_model(self):
    config, run = self._config, self._run
    model = config.architecture.make_model(config.game_spec, config.seed)
    if config.initial:
      world_model_lib.restore(config.initial, 'model', model)
    latents, held_out_latents = world_model_lib.read_latents(
      run.path, config.held_out, config.mirror
    )
    best = None
    if config.keep_best:
      best = best_weights.BestWeights(model)
      latents, validation = data.keep_apart(latents, config.mirror)
    streams = self._streams(latents, config.model_batch, config.window)
    held_out = self._evaluated(held_out_latents)
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
      reward_weight=model_training.reward_weight(latents.reward),
      jit=compilation.compiles(config.jit, pays),
    )

    parts = {'state': trainer.state}
    if best:
      parts['best'] = best
      validation = self._evaluated(validation)

    def evaluate(done):
      picture.draw(done)
      found = trainer.evaluate(held_out)
      if best:
        found['validation_loss'] = trainer.evaluate(validation)['loss']
        best.keep(found['validation_loss'])
      return found

    steps = config.model_steps
    return self._fit('model', model, trainer, steps, evaluate, **parts)

  def _evaluated(self, latents):
    """Windows of episodes that M does not learn from."""
    config, steps = self._config, len(latents.is_first)
    rows = max(1, min(config.model_batch, steps // (config.window + 1)))
    window = min(config.window, steps - 1)
    return self._streams(latents, rows, window, 'held-out windows')

  def _fit_done_head(self):
    """Fits M's done head to what M imagines; M itself stays as it is."""
    config, run = self._config, self._run
    if not config.done_weight:
      return {'deaths': 0}
    model = config.architecture.make_model(config.game_spec, config.seed)
    world_model_lib.restore(run.path, 'model', model)
    latents, _ = world_model_lib.read_latents(
      run.path, config.held_out, config.mirror
    )
    print(f'{_DONE_HEAD}: what M imagines from true states', flush=True)
    rows = done_head.collect(model, latents, config.seed)
    deaths = int(rows.died.sum())
    if not 0 < deaths < len(rows.died):  # Only the time limit ends it.
      return {'deaths': 0}
    print(f'{_DONE_HEAD}: {len(rows.died)} steps, {deaths} deaths', flush=True)
    done_head.fit(model.done_head, rows, config.done_weight)
    path = run.checkpoints / _DONE_HEAD
    checkpoints.Checkpoints(path, model=model.done_head).save(1)
    return {'step': 1, 'deaths': deaths, 'rows': len(rows.died)}

  def _has_done_head(self):
    run = self._run
    has_none = 'step' not in run.info(_DONE_HEAD)
    return has_none or run_files.is_trained(run, _DONE_HEAD)

  def _fit(self, stage, model, trainer, steps, evaluate, **others):
    """Trains `model`, and returns its last record."""
    run = self._run
    parts = {'model': model, 'optimizer': trainer.optimizer, **others}
    saved = checkpoints.Checkpoints(run.checkpoints / stage, **parts)
    loop.fit(
      stage,
      trainer.step,
      steps,
      checkpoints=saved,
      log=run.log,
      held_out=evaluate,
    )
    if 'best' in others:
      others['best'].restore()
      saved.save(steps)
    records = run.log.records(stage)
    # The log may be lost; what is counted is the checkpoint.
    return {**(records[-1] if records else {}), 'stage': stage, 'step': steps}

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
  try:
    finished = run_folder.read_stages(path)
  except ValueError as error:
    raise faults.Fault(f'{error}; repeat the command that made it') from error
  for part in ('checkpoints/vision', 'latents'):
    shutil.copytree(path / part, run.path / part, dirs_exist_ok=True)
  vision = finished['vision']
  if not run_files.has_step(run.checkpoints / 'vision', vision.get('step')):
    raise faults.Fault(
      f'{path}/checkpoints/vision is damaged; the command that made {path} '
      'trains it again'
    )
  run.finish('vision', vision)
