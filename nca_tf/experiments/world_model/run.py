"""The stages of train_world_model; each one resumes and is done once."""

import functools
import pathlib

import keras
import numpy as np

from nca_tf.command_line import faults
from nca_tf.datasets import frames as frames_lib
from nca_tf.datasets import latents as latents_lib
from nca_tf.datasets import rollouts
from nca_tf.experiments.world_model import finished as finished_model
from nca_tf.experiments.world_model import measures as world_model_measures
from nca_tf.experiments.world_model import report as world_model_pictures
from nca_tf.memory import cells
from nca_tf.play import collect
from nca_tf.runs import checkpoints
from nca_tf.runs import progress
from nca_tf.runs import run_folder
from nca_tf.saved_models import export
from nca_tf.training import loop
from nca_tf.training import model as model_training
from nca_tf.training import vision as vision_training
from nca_tf.world_model import codec as codec_lib
from nca_tf.world_model import model as model_lib
from nca_tf.world_model import vision as vision_lib


class Stages:
  """One run: what is finished is loaded, what is not is made."""

  def __init__(self, config, folder, log):
    """Takes the configuration, the open run folder and its metrics log."""
    self.config = config
    self.folder = folder
    self.log = log
    self.spec = config.game_spec

  @property
  def rollouts(self):
    """Folders of the recorded episodes."""
    if self.config.rollouts:
      return [pathlib.Path(folder) for folder in self.config.rollouts]
    return [self.folder.path / 'rollouts']

  def collect(self):
    """Plays the episodes, or takes those of --rollouts."""
    config = self.config
    if config.rollouts or self.folder.is_finished('collect'):
      return
    (target,) = self.rollouts
    done = min(rollouts.count(target), config.episodes)
    with progress.Progress('collect', config.episodes, 'episodes', done) as bar:
      collect.collect(
        target,
        config.env,
        config.policy,
        config.episodes,
        config.seed,
        processes=config.processes,
        shard_size=max(1, min(32, config.episodes // 4)),
        progress=bar.update,
        options=config.game_options,
      )
    self.folder.finish('collect', {'episodes': rollouts.count(target)})

  @functools.cached_property
  def index(self):
    """Shards with their whole episodes: list of (path, [(number, frames)]).

    Episodes of the first folder keep their index as their number, those of the
    next follow behind.
    """
    shards, self._first, first = [], {}, 0
    for folder in self.rollouts:
      spec = rollouts.read_spec(folder)
      last = first - 1
      for path in rollouts.shards(folder):
        self._first[path] = first
        episodes = [
          (first + episode.index, _real_frames(episode))
          for episode in rollouts.read_shard(path, spec, frames=False)
        ]
        last = max([last, *(number for number, _ in episodes)])
        shards.append((path, episodes))
      first = last + 1
    if not any(len(episodes) for _, episodes in shards):
      folders = ', '.join(str(folder) for folder in self.rollouts)
      raise faults.UsageError(f'no whole episode in {folders}')
    return shards

  def is_held_out(self, number):
    """Whether an episode is kept for the measures, by its number."""
    return number % self.config.held_out == self.config.held_out - 1

  def read_frames(self, path, held_out):
    """(number, real frames) of one shard's episodes, of one kind."""
    spec = rollouts.read_spec(path.parent)
    for episode in rollouts.read_shard(
      path, spec, frames=False, on_damage=_known
    ):
      number = self._first[path] + episode.index
      if self.is_held_out(number) == held_out:
        whole = rollouts.decompress(episode, spec).observation
        yield number, whole[: _real_frames(episode)]

  def held_out_frames(self, limit):
    """Real frames of up to `limit` held-out episodes, in order: a dict."""
    found = {}
    for path, _ in self.index:
      for number, frames in self.read_frames(path, held_out=True):
        found[number] = frames
        if len(found) == limit:
          return found
    if not found:
      raise faults.UsageError(
        f'no held-out episode in {self.rollouts[0]}: it needs at least '
        f'{self.config.held_out} whole episodes'
      )
    return found

  def train_vision(self):
    """Trains V, or loads it."""
    config = self.config
    keras.utils.set_random_seed(config.seed)
    self.vision = vision_lib.VisionModel(config.latent_size, config.vision)
    self.vision.build()
    self.codec = codec_lib.Codec(self.vision)
    where = self.folder.checkpoints / 'vision'
    if config.initial_vision and not self.folder.is_finished('vision'):
      finished_model.copy_vision(config.initial_vision, self.folder)
    if self.folder.is_finished('vision'):
      finished_model.restore(self.folder.path, 'vision', self.vision)
      return
    if config.initial:
      finished_model.restore(config.initial, 'vision', self.vision)
    batch = self._frame_batches().batch
    trainer = vision_training.VisionTrainer(
      self.vision,
      (lambda index: _mirror_half(batch(index))) if config.mirror else batch,
      seed=config.seed,
      learning_rate=config.vision_rate,
      sharpness=config.vision_sharpness,
      jit=self.jit(pays_on_cpu=False),
    )
    sample = np.concatenate(list(self.held_out_frames(limit=4).values()))
    sample = sample[:: max(1, len(sample) // 200)][:200]

    def evaluate(done):
      world_model_pictures.draw_reconstructions(self, sample[::25], done)
      return trainer.evaluate(sample)

    loop.fit(
      'vision',
      trainer.step,
      config.vision_steps,
      checkpoints=checkpoints.Checkpoints(
        where, model=self.vision, optimizer=trainer.optimizer
      ),
      log=self.log,
      held_out=evaluate,
    )
    self.folder.finish('vision', self.log.records('vision')[-1])

  def _frame_batches(self):
    counts = [
      sum(size for number, size in episodes if not self.is_held_out(number))
      for _, episodes in self.index
    ]

    def load(shard):
      path = self.index[shard][0]
      frames = [part for _, part in self.read_frames(path, held_out=False)]
      empty = np.zeros((0, *self.spec.observation_shape), np.uint8)
      return np.concatenate([empty, *frames])

    try:
      return frames_lib.FrameBatches(
        counts, load, self.config.vision_batch, self.config.seed
      )
    except ValueError as error:
      raise faults.UsageError(f'--vision_batch: {error}') from error

  def encode(self):
    """Writes the latents of every frame, one part per shard."""
    folder = self.folder.path / 'latents'
    if not self.folder.is_finished('encode'):
      folder.mkdir(exist_ok=True)
      total = sum(size for _, part in self.index for _, size in part)
      self._encode_shards(folder / 'part', total, mirror=False)
      if self.config.mirror:
        self._encode_shards(folder / 'mirror', total, mirror=True)
      self.folder.finish('encode', {'frames': total})
    self.train_latents, self.held_out_latents = self._split(folder, 'part')
    if self.config.mirror:
      mirrored, _ = self._split(folder, 'mirror')
      self.train_latents = latents_lib.concatenate(
        [self.train_latents, mirrored]
      )

  def _split(self, folder, kind):
    """Latents of the training episodes and of those held out."""
    whole = latents_lib.load(folder, kind)
    chosen = np.array(
      [self.is_held_out(whole.episode[part.start]) for part in whole.episodes]
    )
    return (
      latents_lib.select(whole, np.flatnonzero(~chosen)),
      latents_lib.select(whole, np.flatnonzero(chosen)),
    )

  def _encode_shards(self, prefix, total, mirror):
    done = 0
    label = 'encode mirrored' if mirror else 'encode'
    with progress.Progress(label, total, 'frames') as bar:
      for number, (path, episodes) in enumerate(self.index):
        part = prefix.with_name(f'{prefix.name}-{number:05d}.npz')
        if episodes and not part.exists():
          latents_lib.save(self._encode_shard(path, mirror), part)
        done += sum(size for _, size in episodes)
        bar.update(done)

  def _encode_shard(self, path, mirror):
    spec = rollouts.read_spec(path.parent)
    parts = []
    for episode in rollouts.read_shard(path, spec, on_damage=_known):
      frames, action = episode.observation, episode.action
      if mirror:
        frames, action = frames[:, :, ::-1], self._mirror_action(action)
      mean, log_variance = self.codec.encode(frames)
      parts.append(
        latents_lib.Latents(
          mean=mean.astype(np.float16),
          log_variance=log_variance.astype(np.float16),
          action=action,
          reward=episode.reward,
          is_first=episode.is_first,
          is_terminal=episode.is_terminal,
          episode=np.full(
            len(episode.reward), self._first[path] + episode.index, np.int32
          ),
        )
      )
    return latents_lib.concatenate(parts)

  def _mirror_action(self, action):
    if self.spec.action_kind == 'continuous':
      return -action
    return np.asarray(self.spec.mirrored_actions, action.dtype)[action]

  def make_model(self, seed):
    """An untrained M."""
    config = self.config
    keras.utils.set_random_seed(seed)
    cell = cells.make(
      config.cell,
      config.units,
      memory_slots=config.memory_slots,
      word_size=config.word_size,
      read_heads=config.read_heads,
    )
    actions = self.spec.actions if self.spec.action_kind == 'discrete' else 1
    model = model_lib.MemoryModel(
      cell,
      config.latent_size,
      actions,
      config.mixtures,
      config.joint,
      reward=self.spec.has_reward,
    )
    model.build()
    return model

  def train_model(self):
    """Trains M, or loads it."""
    config = self.config
    self.model = self.make_model(config.seed + 1)
    where = self.folder.checkpoints / 'model'
    if self.folder.is_finished('model'):
      finished_model.restore(self.folder.path, 'model', self.model)
      return
    if config.initial:
      finished_model.restore(config.initial, 'model', self.model)
    streams = self._streams(
      self.train_latents, config.model_batch, config.window
    )
    steps = len(self.held_out_latents.is_first)
    rows = max(1, min(config.model_batch, steps // (config.window + 1)))
    window = min(config.window, steps - 1)
    held_out = self._streams(self.held_out_latents, rows, window)
    pictures = world_model_pictures.Dream(self)
    trainer = model_training.ModelTrainer(
      self.model,
      streams,
      seed=config.seed,
      learning_rate=model_training.Decay(config.model_rate, config.model_decay),
      done_weight=config.done_weight,
      jit=self.jit(pays_on_cpu=config.cell == 'dnc'),
    )

    def evaluate(done):
      pictures.draw(done)
      return trainer.evaluate(held_out)

    loop.fit(
      'model',
      trainer.step,
      config.model_steps,
      checkpoints=checkpoints.Checkpoints(
        where,
        model=self.model,
        optimizer=trainer.optimizer,
        state=trainer.state,
      ),
      log=self.log,
      held_out=evaluate,
    )
    self.folder.finish('model', self.log.records('model')[-1])

  def _streams(self, latents, batch, window):
    try:
      return latents_lib.Streams(latents, batch, window, self.config.seed)
    except ValueError as error:
      raise faults.UsageError(f'--model_batch, --window: {error}') from error

  def measure(self):
    """Scores M beside its baselines; writes summary.md and summary.txt."""
    if not self.folder.is_finished('measure'):
      world_model_measures.measure(self)

  def export(self):
    """Writes the SavedModels."""
    if self.folder.is_finished('export'):
      return
    print('export: SavedModels', flush=True)
    export.export_vision(self.vision, self.folder.export / 'vision')
    export.export_model(self.model, self.folder.export / 'model')
    self.folder.finish('export')

  def jit(self, pays_on_cpu):
    """Whether to compile with XLA: on a GPU always, on CPU where it pays."""
    if self.config.jit != 'auto':
      return self.config.jit == 'on'
    import tensorflow as tf

    return pays_on_cpu or bool(tf.config.list_physical_devices('GPU'))


def load(folder, config):
  """A finished world model: Stages with vision, model and latents.

  Args:
    folder: The run folder; only read.
    config: Its train_world_model.Config.
  """
  run = run_folder.RunFolder(pathlib.Path(folder), lock=None)
  stages = Stages(config, run, log=None)
  stages.train_vision()
  stages.encode()
  stages.train_model()
  return stages


def _mirror_half(frames):
  """Every second frame [B, H, W, C] mirrored."""
  frames[1::2] = frames[1::2, :, ::-1].copy()
  return frames


def _known(line):
  """Damage is reported once, when the shards are indexed."""


def _real_frames(episode):
  """Steps with a frame of their own: after death the last one repeats."""
  return len(episode.reward) - int(episode.is_terminal[-1])
